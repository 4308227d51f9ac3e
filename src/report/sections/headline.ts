/** The page's head and the four headline cards. */
import { cellOf, comparisonSentence, headlineKey, keyText, perplexityOf } from "../comparison.js";
import { DASH, formatBytes, formatCount, formatMs, formatNumber, formatRatio } from "../format.js";
import { markup, Markup } from "../markup.js";
import { seriesOf } from "../series.js";
import type { ReportData, ReportEngine } from "../types.js";

/** An espaliered tree: one trunk, three pairs of trained arms. */
export const EMBLEM = new Markup(
  `<svg class="emblem" viewBox="0 0 32 32" aria-hidden="true"><path d="M16 30V5M16 25C9 25 5 25 5 19M16 25c7 0 11 0 11-6M16 17.5c-5.5 0-8.5 0-8.5-5.500M16 17.500c5.5 0 8.5 0 8.5-5.500M16 10.500c-3.5 0-5.5 0-5.5-5M16 10.500c3.5 0 5.5 0 5.5-5"/></svg>`,
);

export function pageHead(data: ReportData): Markup {
  const sentence = comparisonSentence(data);
  const source = data.engines[0]?.source;
  const date = data.createdAt.slice(0, 16).replace("T", " ");
  return markup`<header>
<p class="brand">${EMBLEM}<span>espalier</span><span class="quiet">engine report</span></p>
<h1>${data.title}</h1>
${sentence !== null && markup`<p class="lede">${sentence}</p>`}
<p class="byline">${source !== undefined && `${formatCount(source.parameters)} parameters · `}${data.machine.cpu} · ${threadsText(data)}${date}</p>
</header>`;
}

function threadsText(data: ReportData): string {
  const cell = data.cells[0];
  return cell === undefined ? "" : `${cell.threads} ${cell.threads === 1 ? "thread" : "threads"} · ${cell.isa} · `;
}

interface Card {
  title: string;
  /** Under the title: what it is measured at. */
  condition: string;
  lowerIsBetter: boolean;
  value: (engine: ReportEngine) => number | null;
  format: (value: number | null) => string;
  /** How the last engine differs from the first. */
  change: (last: number, first: number) => string;
}

export function headlineCards(data: ReportData): Markup {
  return markup`<section class="cards" aria-label="Headlines">${cardsOf(data).map((card) => drawCard(card, data))}</section>`;
}

function cardsOf(data: ReportData): Card[] {
  const key = headlineKey(data);
  const at = key === null ? "" : keyText(key);
  const cell = (engine: ReportEngine): ReturnType<typeof cellOf> =>
    key === null ? undefined : cellOf(data, engine, key);
  const text = data.perplexity[0];
  const cards: Card[] = [
    {
      title: "Size on disk",
      condition: "packed weights",
      lowerIsBetter: true,
      value: (engine) => engine.sizeBytes,
      format: formatBytes,
      change: (last, first) =>
        last <= first ? `${formatRatio(first / last)} smaller` : `${formatRatio(last / first)} larger`,
    },
    {
      title: "Perplexity",
      condition: text === undefined ? "" : text.corpus,
      lowerIsBetter: true,
      value: (engine) => perplexityOf(data, engine),
      format: (value) => (value === null ? DASH : value.toFixed(value < 1000 ? 2 : 0)),
      change: (last, first) => `${last >= first ? "+" : "−"}${Math.abs(100 * (last / first - 1)).toFixed(1)} %`,
    },
    {
      title: "Decode speed",
      condition: at,
      lowerIsBetter: false,
      value: (engine) => cell(engine)?.decodeTokensPerSecond ?? null,
      format: (value) => `${formatNumber(value)} tok/s`,
      change: (last, first) =>
        last >= first ? `${formatRatio(last / first)} faster` : `${formatRatio(first / last)} slower`,
    },
    {
      title: "Time to first token",
      condition: at,
      lowerIsBetter: true,
      value: (engine) => cell(engine)?.ttftMs ?? null,
      format: formatMs,
      change: (last, first) =>
        last <= first ? `${formatRatio(first / last)} sooner` : `${formatRatio(last / first)} later`,
    },
  ];
  return cards.filter((card) => data.engines.some((engine) => card.value(engine) !== null));
}

function drawCard(card: Card, data: ReportData): Markup {
  const last = data.engines.at(-1) as ReportEngine;
  const values = data.engines.map(card.value);
  const [first, focus] = [values[0] ?? null, values.at(-1) ?? null];
  const top = Math.max(...values.map((value) => value ?? 0));
  const rows = data.engines.map((engine, index) => {
    const value = values[index] ?? null;
    return markup`<li><span class="name"><i class="swatch ${seriesOf(data, index)}"></i>${engine.label}</span><span
class="amount">${card.format(value)}</span><span class="bar"><i class="${seriesOf(data, index)}" style="width:${((100 * (value ?? 0)) / top).toFixed(1)}%"></i></span></li>`;
  });
  return markup`<article class="card"><h2>${card.title}</h2>
<p class="big">${bigValue(card.format(focus))}</p>
${data.engines.length > 1 && first !== null && focus !== null && changeBadge(card, focus, first)}
<ul aria-label="${card.title}, ${last.label} and others">${rows}</ul>
<p class="condition">${card.condition}</p></article>`;
}

/** "118 tok/s" with a small unit. */
function bigValue(text: string): Markup {
  const [amount = "", ...unit] = text.split(" ");
  return markup`${amount}${unit.length > 0 && markup`<small> ${unit.join(" ")}</small>`}`;
}

/** Green when better, amber when worse by more than 2 %. */
function changeBadge(card: Card, focus: number, first: number): Markup {
  const gain = card.lowerIsBetter ? first / focus : focus / first;
  const mood = gain > 1.02 ? "good" : gain < 0.98 ? "bad" : "even";
  return markup`<p class="change ${mood}">${card.change(focus, first)}</p>`;
}
