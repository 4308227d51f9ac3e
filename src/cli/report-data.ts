/** Report data from engine directories and what was measured on them. */
import { basename } from "node:path";
import type { BenchCell } from "../bench/index.js";
import { readEngineManifest } from "../engine/index.js";
import { reportEngine, reportMachine, type ReportData } from "../report/index.js";
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

/** The directory's name; the whole path where two share it. */
function engineLabel(directory: string, all: readonly string[]): string {
  const name = basename(directory);
  return all.filter((other) => basename(other) === name).length > 1 ? directory : name;
}
