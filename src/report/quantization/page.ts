// SPDX-License-Identifier: Apache-2.0
/**
 * The page of a quantized model: size, perplexity and speed against its source, and the weights that rounding hurts most.
 */
import { comparisonSentence } from "../comparison.js";
import { formatCount } from "../format.js";
import { markup } from "../markup.js";
import { renderPage } from "../page.js";
import { latencySection, speedSection } from "../sections/charts.js";
import { EMBLEM, headlineCards } from "../sections/headline.js";
import { cellsTable, enginesTable, perplexityTable, ratiosTable } from "../sections/tables.js";
import { commandsSection, methodSection } from "../sections/words.js";
import type { QuantizationReportData } from "./data.js";
import { errorSection, weightsTable } from "./sections.js";

/** The whole page. Text from models and files is escaped. */
export function renderQuantizationReport(data: QuantizationReportData): string {
  const { model, scheme, measured } = data;
  const { createdAt, espalierVersion, machine, engines } = measured;
  const title = `${model} in ${scheme}`;
  const parameters = engines[0]?.source.parameters;
  const head = markup`<header>
<p class="brand">${EMBLEM}<span>espalier</span><span class="quiet">quantization report</span></p>
<h1>${title}</h1>
<p class="lede">${comparisonSentence(measured)}</p>
<p class="byline">${parameters !== undefined && `${formatCount(parameters)} parameters · `}${machine.cpu} · ${createdAt.slice(0, 16).replace("T", " ")}</p>
</header>`;
  return renderPage({
    title,
    createdAt,
    espalierVersion,
    content: [
      head,
      headlineCards(measured),
      perplexityTable(measured),
      errorSection(data),
      speedSection(measured),
      latencySection(measured),
      ratiosTable(measured),
      cellsTable(measured),
      enginesTable(measured),
      weightsTable(data),
      methodSection(measured),
      commandsSection(measured),
    ],
  });
}
