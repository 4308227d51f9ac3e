// SPDX-License-Identifier: Apache-2.0
/**
 * What all pages share: one HTML file with nothing outside itself.
 */
import { markup, Markup } from "./markup.js";
import { styleSheet } from "./style.js";

export interface Page {
  title: string;
  /** ISO 8601. */
  createdAt: string;
  espalierVersion: string;
  content: readonly (Markup | false | null)[];
}

/** The whole page. */
export function renderPage({ title, createdAt, espalierVersion, content }: Page): string {
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="espalier ${espalierVersion}">
<title>${title} · espalier</title>
<style>${new Markup(styleSheet)}</style>
</head>
<body>
<main>
${content.map((part) => part !== null && part !== false && markup`${part}\n`)}
<footer>Made by espalier ${espalierVersion} on ${createdAt.slice(0, 10)}. No number here was entered by hand.</footer>
</main>
</body>
</html>
`.text;
}
