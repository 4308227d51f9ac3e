/**
 * The report page: one HTML file with nothing outside itself, made from JSON.
 */
import { replaceFile } from "../files/replace-file.js";
import { renderPage } from "./page.js";
import { ceilingSection, latencySection, speedSection } from "./sections/charts.js";
import { headlineCards, pageHead } from "./sections/headline.js";
import { cellsTable, enginesTable, perplexityTable, ratiosTable } from "./sections/tables.js";
import { commandsSection, methodSection, samplesSection } from "./sections/words.js";
import type { ReportData } from "./types.js";

/** The whole page. Text from models and files is escaped. */
export function renderReport(data: ReportData): string {
  const measured = data.cells.length > 0;
  const { title, createdAt, espalierVersion } = data;
  return renderPage({
    title,
    createdAt,
    espalierVersion,
    content: [
      pageHead(data),
      headlineCards(data),
      ...(measured ? [speedSection(data), latencySection(data)] : []),
      perplexityTable(data),
      samplesSection(data),
      measured && ceilingSection(data),
      ratiosTable(data),
      cellsTable(data),
      enginesTable(data),
      methodSection(data),
      commandsSection(data),
    ],
  });
}

/**
 * Writes the page; a file that is there already is replaced once the new one is complete.
 * @example await writeReport(data, "report.html");
 */
export async function writeReport(data: ReportData, path: string): Promise<void> {
  await replaceFile(path, renderReport(data));
}
