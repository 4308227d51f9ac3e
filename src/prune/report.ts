// SPDX-License-Identifier: Apache-2.0
/**
 * What pruning did, and what a budget has to choose from, as people read it.
 */
import { formatBytes } from "../report/format.js";
import { terminalTable } from "../report/terminal-table.js";
import type { Candidate } from "./candidates.js";
import type { PruneResult } from "./prune.js";
import type { Shape } from "./shape.js";

const sizeNames = ["layers", "hidden", "ffn", "heads", "kvHeads"] as const satisfies readonly (keyof Shape)[];

/** The most candidates that a table shows. */
const SHOWN = 40;

/** Sizes before and after, layers gone, where it is. */
export function describePruning(result: PruneResult): string {
  const { shape, sourceShape, parameters, sourceParameters, droppedLayers, out, sourceLatencyMs } = result;
  const [best] = result.candidates ?? [];
  const share = ((100 * parameters) / sourceParameters).toFixed(1);
  const rows = sizeNames.map((name) => [name, String(sourceShape[name]), String(shape[name])]);
  const count = (value: number): string => value.toLocaleString("en-US");
  rows.push(["parameters", count(sourceParameters), `${count(parameters)} (${share} %)`]);
  if (best?.memoryBytes !== undefined) rows.push(["memory", "", formatBytes(best.memoryBytes)]);
  if (best?.latencyMs !== undefined)
    rows.push(["ms a token, measured", sourceLatencyMs?.toFixed(3) ?? "–", best.latencyMs.toFixed(3)]);
  const parts = [terminalTable(["", "source", "pruned"], rows)];
  if (droppedLayers !== null && droppedLayers.length > 0)
    parts.push(`layers dropped, counted from 1: ${asRanges(droppedLayers)}`);
  parts.push(out === null ? "nothing written" : `model: ${out}`);
  return parts.join("\n");
}

/** Best first. */
export function candidateTable(candidates: readonly Candidate[]): string {
  const rows = candidates
    .slice(0, SHOWN)
    .map((row, i) => [
      String(i + 1),
      ...sizeNames.map((name) => String(row[name])),
      row.parameters.toLocaleString("en-US"),
      row.keptImportance === null ? "–" : row.keptImportance.toFixed(4),
    ]);
  const budgets = [
    ["memory", ({ memoryBytes }: Candidate) => memoryBytes && formatBytes(memoryBytes)],
    ["ms a token", ({ latencyMs }: Candidate) => latencyMs?.toFixed(3)],
  ] as const;
  const heads = ["", ...sizeNames, "parameters", "importance kept"];
  for (const [head, textOf] of budgets) {
    const texts = candidates.map(textOf);
    if (texts[0] === undefined) continue;
    heads.push(head);
    for (const [i, row] of rows.entries()) row.push(String(texts[i] ?? "–"));
  }
  const table = terminalTable(heads, rows);
  return candidates.length <= SHOWN ? table : `${table}\nand ${candidates.length - SHOWN} more (--json has all)`;
}

/** "3, 7-9" of 3, 7, 8, 9. */
export function asRanges(layers: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const layer of layers) {
    const last = ranges[ranges.length - 1];
    if (last?.[1] === layer - 1) last[1] = layer;
    else ranges.push([layer, layer]);
  }
  return ranges.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(", ");
}
