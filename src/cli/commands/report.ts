/** espalier report: the HTML page again from its data. */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { EspalierError } from "../../errors.js";
import { writeReport, type ReportData } from "../../report/index.js";
import { action } from "../run-command.js";

interface Options {
  out: string;
}

export function register(program: Command): void {
  const command = program
    .command("report")
    .description("write the HTML page of a report.json that bench --html or the quickstart left")
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
  const lists = ["engines", "cells", "perplexity", "samples", "commands"];
  const object = value as Record<string, unknown> | null;
  const missing = lists.filter((name) => typeof object !== "object" || !Array.isArray(object?.[name]));
  if (missing.length > 0)
    throw new EspalierError("ERR_REPORT_DATA", `${path}: ${missing.join(", ")}: expected lists, found none`);
  return value as ReportData;
}
