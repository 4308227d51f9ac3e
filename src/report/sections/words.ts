/** What the engines answer, how it was measured, and how to measure it again. */
import { formatBytes } from "../format.js";
import { markup, type Markup } from "../markup.js";
import { seriesOf } from "../series.js";
import type { ReportData, ReportSample } from "../types.js";

export function samplesSection(data: ReportData): Markup {
  if (data.samples.length === 0) return markup``;
  return markup`<section><h2>In their own words</h2>${data.samples.map((sample) => drawSample(data, sample))}</section>`;
}

function drawSample(data: ReportData, sample: ReportSample): Markup {
  const answers = sample.answers.map(({ engine, text }) => {
    const index = data.engines.findIndex((row) => row.directory === engine);
    const name = data.engines[index]?.label ?? engine;
    return markup`<div class="answer ${index >= 0 && seriesOf(data, index)}"><h3>${name}</h3><p>${text}</p></div>`;
  });
  return markup`<div class="sample"><p class="prompt">${sample.prompt}</p><div class="answers">${answers}</div></div>`;
}

const definitions: [term: string, meaning: string][] = [
  [
    "ISL, OSL, batch",
    "Tokens of every prompt, tokens generated for each (end-of-sequence ignored), and requests handed in together. Prompts are random tokens, fresh in every repeat; nothing is reused from a cache.",
  ],
  ["TTFT", "Time to first token: from handing a request in to its first token, median over requests and repeats."],
  ["TPOT", "Time per output token: (last token − first token) / (OSL − 1)."],
  ["ITL", "Inter-token latency: every gap between neighbouring tokens of all requests and repeats."],
  ["Prefill tok/s", "batch · ISL / time until every request has its first token."],
  [
    "Decode tok/s",
    "Tokens generated per second between the moment every request has its first token and the moment the first request ends.",
  ],
  [
    "Decode GB/s",
    "Bytes of packed weights (embedding table excluded unless it is the output layer too) plus keys and values that a step reads, over the step's time.",
  ],
  [
    "Prefill GFLOP/s",
    "2 per parameter of the layers and token, plus the output layer once a prompt, plus causal attention, over the prefill time.",
  ],
  [
    "Ceilings",
    "The best a plain loop reaches on the same threads and instruction set: reading memory, or multiplying in registers in the number type of the weights' kernels.",
  ],
  ["Peak RSS", "Largest resident memory of the whole process, Node and tokenizer included, with this engine alone."],
  [
    "Other load",
    "Share of the machine's CPU time that other programs took while the cell ran. Above 5 % the cell is measured again, up to three times in all, and marked if it stays so.",
  ],
  [
    "Perplexity",
    "exp of the mean negative log-likelihood of tokens 2 to last of each window; windows have no beginning-of-sequence token unless the tokenizer adds one; an incomplete window at the end is dropped.",
  ],
];

export function methodSection(data: ReportData): Markup {
  const { machine } = data;
  const repeats = [...new Set(data.cells.map((cell) => cell.repeats))].join(", ");
  const rows = definitions.map(([term, meaning]) => markup`<div><dt>${term}</dt><dd>${meaning}</dd></div>`);
  return markup`<section><h2>How it was measured</h2>
<p class="intro">${machine.cpu}, ${machine.physicalCores} cores, ${formatBytes(machine.memoryBytes)} of memory; ${machine.os}, Node ${machine.node}, espalier ${data.espalierVersion}.${repeats !== "" && ` Medians of ${repeats} repeats after a warm-up.`}</p>
<dl>${rows}</dl></section>`;
}

export function commandsSection(data: ReportData): Markup {
  if (data.commands.length === 0) return markup``;
  return markup`<section><h2>Measure it again</h2><pre><code>${data.commands.join("\n")}</code></pre></section>`;
}
