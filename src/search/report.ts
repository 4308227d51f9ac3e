// SPDX-License-Identifier: Apache-2.0
/**
 * The ranking as people read it.
 */
import { terminalTable } from "../report/terminal-table.js";
import type { SearchResult } from "./search.js";

/** Best first. */
export function rankingTable({ search: { steps, ranking } }: Pick<SearchResult, "search">): string {
  const heads = ["", "layers", "hidden", "ffn", "heads", "kvHeads", "parameters", "importance kept", "loss"];
  const rows = ranking.map((row, index) => [
    String(index + 1),
    ...[row.layers, row.hidden, row.ffn, row.heads, row.kvHeads].map(String),
    row.parameters.toLocaleString("en-US"),
    row.keptImportance === null ? "–" : row.keptImportance.toFixed(4),
    row.loss.toFixed(4),
  ]);
  return `${terminalTable(heads, rows)}\nloss: validation cross-entropy after ${steps} steps of distillation`;
}
