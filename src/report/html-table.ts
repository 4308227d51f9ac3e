// SPDX-License-Identifier: Apache-2.0
/** Tables of a page from columns and rows. */
import { markup, type Markup } from "./markup.js";

export interface Column<Row> {
  head: string;
  unit?: string;
  text: (row: Row) => string | Markup;
}

/** First column is the row's name; the others are numbers, or words where `kind` says so. */
export function htmlTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  kind: "numbers" | "words" = "numbers",
): Markup {
  const heads = columns.map(
    ({ head, unit }) => markup`<th scope="col">${head}${unit !== undefined && markup`<small>${unit}</small>`}</th>`,
  );
  const cells = (row: Row): Markup[] =>
    columns.map(({ text }, index) =>
      index === 0 ? markup`<th scope="row">${text(row)}</th>` : markup`<td>${text(row)}</td>`,
    );
  return markup`<div class="scroll"><table class="${kind}"><thead><tr>${heads}</tr></thead><tbody>${rows.map((row) => markup`<tr>${cells(row)}</tr>`)}</tbody></table></div>`;
}
