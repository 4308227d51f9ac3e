// SPDX-License-Identifier: Apache-2.0
/**
 * Scores as a page: read from their directory, drawn by src/report.
 */
import { join } from "node:path";
import { replaceFile } from "../files/replace-file.js";
import { renderImportanceReport, reportMachine, type ImportanceFigures } from "../report/index.js";
import { version } from "../version.js";
import { defaultAggregation, type Aggregation, type Aggregator } from "./aggregate.js";
import { readManifest, readScores } from "./scores.js";

const words: Record<Aggregator, string> = { mean: "mean", l2: "L2 norm", var: "variance" };

/** What the charts of a directory of scores show. ERR_IMPORTANCE_SCORES. */
export async function importanceFigures(
  directory: string,
  { batch, sequence }: Pick<Aggregation, "batch" | "sequence"> = defaultAggregation,
): Promise<ImportanceFigures> {
  const manifest = await readManifest(directory);
  const tasks = manifest.tasks.map(({ whole, without, ...task }) => ({
    ...task,
    whole: whole[task.metric] ?? NaN,
    without: without.map(({ size, scores }) => ({ size, values: scores[task.metric] ?? [] })),
  }));
  const scoresOf = (firstPosition: boolean): ReturnType<typeof readScores> =>
    readScores(directory, manifest, { batch, sequence, firstPosition });
  return {
    measured: { ...manifest, tasks },
    aggregation: `${words[sequence]} over positions, ${words[batch]} over sequences`,
    scores: await scoresOf(true),
    withoutFirstPosition: await scoresOf(false),
  };
}

/**
 * The page of a directory of scores; nothing is measured again.
 * @example await writeFile("scores.html", await importanceReport("scores"));
 */
export async function importanceReport(directory: string): Promise<string> {
  return renderImportanceReport({
    ...(await importanceFigures(directory)),
    createdAt: new Date().toISOString(),
    espalierVersion: version,
    machine: reportMachine(),
  });
}

/** DIR/report.html. */
export async function writeImportanceReport(directory: string): Promise<void> {
  await replaceFile(join(directory, "report.html"), await importanceReport(directory));
}
