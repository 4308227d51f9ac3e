/** Report data from engine directories and what was measured on them. */
import { access, constants, open, stat, writeFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import type { BenchCell } from "../bench/index.js";
import { readEngineManifest } from "../engine/index.js";
import { EspalierError } from "../errors.js";
import { makeDirectory, toWriteError } from "../files/atomic-directory.js";
import { reportEngine, reportMachine, writeReport, type ReportData } from "../report/index.js";
import { version } from "../version.js";

/** Page of a bench alone; the quickstart adds perplexity and samples. */
export async function benchReport(directories: string[], cells: BenchCell[], commands: string[]): Promise<ReportData> {
  const engines = [];
  for (const directory of directories) {
    const manifest = await readEngineManifest(directory);
    engines.push(reportEngine(directory, engineLabel(directory, directories), manifest));
  }
  return {
    title: engines.map((engine) => engine.source.name)[0] ?? "espalier",
    createdAt: new Date().toISOString(),
    espalierVersion: version,
    machine: reportMachine(),
    engines,
    cells,
    perplexity: [],
    samples: [],
    commands,
  };
}

/** Fails before minutes of measuring when the report could not be written after them. */
export async function checkWritable(page: string): Promise<void> {
  const isThere = (path: string): Promise<boolean> =>
    stat(path).then(
      () => true,
      () => false,
    );
  let nearest = dirname(resolve(page));
  while (!(await isThere(nearest)) && dirname(nearest) !== nearest) nearest = dirname(nearest);
  try {
    if (!(await stat(nearest)).isDirectory()) throw new Error(`${nearest} is not a directory`);
    await access(nearest, constants.W_OK);
    if ((await isThere(page)) && (await stat(page)).isDirectory()) throw new Error("it is a directory");
  } catch (error) {
    throw new EspalierError("ERR_FILE_WRITE", `${page}: ${(error as Error).message}`, { cause: error });
  }
  if ((await isThere(page)) && !(await isPage(page)))
    throw new EspalierError("ERR_OUTPUT_EXISTS", `${page} exists already and is no HTML page: only a page is replaced`);
}

/** Whether a file begins as the pages of this package do, or is empty. */
async function isPage(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(15), 0, 15, 0);
    return bytesRead === 0 || /^<!doctype html>/i.test(buffer.toString("latin1"));
  } finally {
    await file.close();
  }
}

/** The page, and its data as .json beside it; the path of the data. */
export async function writeReportFiles(data: ReportData, page: string): Promise<string> {
  const path = `${page.replace(/\.html?$/i, "")}.json`;
  try {
    await makeDirectory(dirname(resolve(page)));
    await writeFile(path, `${JSON.stringify(data, null, 1)}\n`);
  } catch (error) {
    throw toWriteError(error, path);
  }
  await writeReport(data, page);
  return path;
}

/** The directory's name; the whole path where two share it. */
function engineLabel(directory: string, all: readonly string[]): string {
  const name = basename(directory);
  return all.filter((other) => basename(other) === name).length > 1 ? directory : name;
}
