/** espalier report: the HTML page again from its data. */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { EspalierError } from "../../errors.js";
import { parseReportData, writeReport, type ReportData } from "../../report/index.js";
import { action } from "../run-command.js";

interface Options {
  out: string;
}

export function register(program: Command): void {
  const command = program
    .command("report")
    .description("write the HTML page of a data that bench --html or the quickstart left beside its page")
    .argument("<file>", "report.json")
    .requiredOption("--out <file>", "HTML file to write")
    .addHelpText("after", "\nExample:\n  espalier report run/report.json --out report.html");
  action(command, async (_context, path: string, options: Options) => {
    const data = await readReportData(path);
    await writeReport(data, options.out);
    return { json: { path: options.out }, text: options.out };
  });
}

async function readReportData(path: string): Promise<ReportData> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new EspalierError("ERR_REPORT_DATA", `${path}: expected the JSON of a report, ${(cause as Error).message}`, {
      cause,
    });
  }
  return parseReportData(value, path);
}
