/** espalier report: the HTML page of training runs or of importance scores, or again from its data. */
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Command } from "commander";
import { EspalierError } from "../../errors.js";
import { importanceReport, isScoresDirectory } from "../../importance/index.js";
import { replaceFile } from "../../files/replace-file.js";
import {
  isCompressReport,
  isTrainingReport,
  parseReportData,
  parseTrainingReport,
  renderTrainingReport,
  writeReport,
} from "../../report/index.js";
import { trainingReport } from "../../train/index.js";
import { compressReport, isCompressRun } from "../../recipe/index.js";
import { checkWritable } from "../report-data.js";
import { action } from "../run-command.js";

interface Options {
  out: string;
}

export function register(program: Command): void {
  const command = program
    .command("report")
    .description(
      "write the HTML page of training runs, of importance scores, of a recipe's run, or of data that bench --html or the quickstart left",
    )
    .argument(
      "<paths...>",
      "run directories of train, shown on the same charts; or a directory of scores or of a recipe's run; or one report.json",
    )
    .requiredOption("--out <file>", "HTML file to write")
    .addHelpText(
      "after",
      "\nExample:\n  espalier report runs/a runs/b --out curves.html\n  espalier report scores --out scores.html\n  espalier report run/report.json --out report.html",
    );
  action(command, async (_context, paths: string[], options: Options) => {
    await checkWritable(options.out);
    const [first = ""] = paths;
    if (await isScoresDirectory(first)) await writeOne(paths, importanceReport, options.out);
    else if (await isCompressRun(first)) await writeOne(paths, compressReport, options.out);
    else await writeData(await readData(paths), first, options.out);
    return { json: { path: options.out }, text: options.out };
  });
}

async function writeOne(
  paths: readonly string[],
  render: (directory: string) => Promise<string>,
  out: string,
): Promise<void> {
  const [directory = ""] = paths;
  if (paths.length > 1)
    throw new EspalierError(
      "ERR_USAGE",
      `report: expected one directory of scores or of a recipe's run, found ${paths.length} paths`,
    );
  await replaceFile(out, await render(directory));
}

async function writeData(data: unknown, path: string, out: string): Promise<void> {
  if (isCompressReport(data)) return replaceFile(out, await compressReport(dirname(path)));
  if (isTrainingReport(data)) await replaceFile(out, renderTrainingReport(parseTrainingReport(data, path)));
  else await writeReport(parseReportData(data, path), out);
}

/** Of run directories, or the one file. */
async function readData(paths: readonly string[]): Promise<unknown> {
  const [first = ""] = paths;
  if (paths.length === 1 && !(await isDirectory(first))) return readReportData(first);
  return trainingReport(paths);
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

async function readReportData(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new EspalierError("ERR_REPORT_DATA", `${path}: expected the JSON of a report, ${(cause as Error).message}`, {
      cause,
    });
  }
}
