/**
 * The report page: one HTML file with nothing outside itself, made from JSON.
 */
import { replaceFile } from "../files/replace-file.js";
import { markup, Markup } from "./markup.js";
import { ceilingSection, latencySection, speedSection } from "./sections/charts.js";
import { headlineCards, pageHead } from "./sections/headline.js";
import { cellsTable, enginesTable, perplexityTable, ratiosTable } from "./sections/tables.js";
import { commandsSection, methodSection, samplesSection } from "./sections/words.js";
import { styleSheet } from "./style.js";
import type { ReportData } from "./types.js";

/** The whole page. Text from models and files is escaped. */
export function renderReport(data: ReportData): string {
  const measured = data.cells.length > 0;
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="espalier ${data.espalierVersion}">
<title>${data.title} · espalier</title>
<style>${new Markup(styleSheet)}</style>
</head>
<body>
<main>
${pageHead(data)}
${headlineCards(data)}
${measured && [speedSection(data), latencySection(data)]}
${perplexityTable(data)}
${samplesSection(data)}
${measured && ceilingSection(data)}
${ratiosTable(data)}
${cellsTable(data)}
${enginesTable(data)}
${methodSection(data)}
${commandsSection(data)}
<footer>Made by espalier ${data.espalierVersion} on ${data.createdAt.slice(0, 10)}. No number here was entered by hand.</footer>
</main>
</body>
</html>
`.text;
}

/**
 * Writes the page; a file that is there already is replaced once the new one is complete.
 * @example await writeReport(data, "report.html");
 */
export async function writeReport(data: ReportData, path: string): Promise<void> {
  await replaceFile(path, renderReport(data));
}
