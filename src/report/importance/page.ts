// SPDX-License-Identifier: Apache-2.0
/**
 * The page of an importance run.
 */
import { formatNumber } from "../format.js";
import { markup, type Markup } from "../markup.js";
import { renderPage } from "../page.js";
import { EMBLEM } from "../sections/headline.js";
import type { ReportMachine } from "../types.js";
import type { ImportanceFigures, ReportedImportance } from "./data.js";
import { importanceSections } from "./sections.js";

export interface ImportancePage extends ImportanceFigures {
  createdAt: string;
  espalierVersion: string;
  machine: ReportMachine;
}

/** The whole page. Text from files is escaped. */
export function renderImportanceReport(page: ImportancePage): string {
  const { measured, createdAt, espalierVersion, machine } = page;
  const title = `What matters in ${measured.model.name}`;
  const head = markup`<header>
<p class="brand">${EMBLEM}<span>espalier</span><span class="quiet">importance report</span></p>
<h1>${title}</h1>
<p class="lede">${sentence(measured)}</p>
<p class="byline">${sizes(measured)} · ${machine.cpu} · ${createdAt.slice(0, 16).replace("T", " ")}</p>
</header>`;
  return renderPage({ title, createdAt, espalierVersion, content: [head, ...importanceSections(page)] });
}

function sizes({ model: { layers, hidden, ffn, heads, kvHeads } }: ReportedImportance): Markup {
  return markup`${layers} layers, hidden size ${hidden}, ${ffn} feed-forward channels, ${heads} heads in ${kvHeads} groups`;
}

/** Which layers matter least, and which block of the largest size measured costs least. */
function sentence({ blockImportance: { all }, loss }: ReportedImportance): string {
  const ranked = all.map((_, layer) => layer).sort((a, b) => (all[a] as number) - (all[b] as number));
  const least = `Layer ${(ranked[0] ?? 0) + 1} changes its input least`;
  const largest = loss.without.reduce<(typeof loss.without)[number] | null>(
    (best, row) => (best === null || row.size > best.size ? row : best),
    null,
  );
  if (largest === null || loss.whole === null) return `${least}.`;
  const losses = [...largest.losses];
  const begin = losses.indexOf(Math.min(...losses));
  const name = largest.size === 1 ? `layer ${begin + 1}` : `layers ${begin + 1}–${begin + largest.size}`;
  const block = largest.size === 1 ? "single layers" : `blocks of ${largest.size} layers`;
  return `${least}. Of ${block}, ${name} can go at the least cost: the loss rises from ${formatNumber(loss.whole)} to ${formatNumber(losses[begin])}.`;
}
