import { renderImportanceReport } from "../../../src/report/index.js";
import type { ImportancePage } from "../../../src/report/importance/page.js";
import { checkMarkup } from "./check-markup.js";

const layered = (width: number, by = 1): Float32Array[] =>
  [1, 2, 3].map((layer) => Float32Array.from({ length: width }, (_, i) => by * layer * (i + 1)));

function page(change: Partial<ImportancePage["measured"]> = {}): ImportancePage {
  const scores = { hidden: layered(32)[0]!, ffn: layered(600), heads: layered(4), kvGroups: layered(2) };
  return {
    measured: {
      model: { name: "small", layers: 3, hidden: 32, ffn: 600, heads: 4, kvHeads: 2 },
      samples: 1024,
      seqLength: 64,
      blockImportance: { all: [0.9, 0.2, 0.4], withoutFirstPosition: [0.8, 0.1, 0.3] },
      loss: {
        samples: 8,
        whole: 2,
        without: [
          { size: 1, losses: [9, 2.1, 2.5] },
          { size: 2, losses: [9.5, 3] },
        ],
      },
      ...change,
    },
    aggregation: "mean over positions, L2 norm over sequences",
    scores,
    withoutFirstPosition: scores,
    createdAt: "2026-01-02T03:04:05Z",
    espalierVersion: "0.0.0",
    machine: { cpu: "cpu", physicalCores: 1, logicalCpus: 1, memoryBytes: 1, os: "os", node: "1" },
  };
}

it("draws layers, blocks, channels and heads on one whole page", () => {
  const tasks = [
    {
      task: "arc_easy",
      metric: "acc",
      documents: 50,
      shots: 2,
      whole: 0.5,
      without: [{ size: 1, values: [0.2, 0.4, 0.3] }],
    },
  ];
  const html = renderImportanceReport(page({ tasks }));
  checkMarkup(html);
  expect(html).not.toMatch(/<script|<link|<img|https?:|NaN|undefined|\[object/);
  expect(html.split("<figure")).toHaveLength(1 + 3 + 4);
  for (const text of [
    "Layer 2 changes its input least. Of blocks of 2 layers, layers 2–3 can go at the least cost: the loss rises from 2.00 to 3.00.",
    "A cell is the mean of 3 neighbouring channels.",
    "acc of 50 documents, 2 examples before each",
    "without 2 layers",
    "1,024 sequences of 64 tokens: mean over positions, L2 norm over sequences",
  ])
    expect(html).toContain(text);
  // a curve each: two of block importance; the whole model and two sizes; the whole model and one; wide and narrow
  expect(html.split('class="curve')).toHaveLength(1 + 2 * (2 + 3 + 2));
});

it("leaves out what was not measured, and groups that are heads; escapes names", () => {
  const model = { ...page().measured.model, name: `<script>"`, kvHeads: 4 };
  const html = renderImportanceReport(page({ model, loss: { samples: 0, whole: null, without: [] } }));
  checkMarkup(html);
  expect(html).not.toContain("<script");
  expect(html.split("<figure")).toHaveLength(1 + 1 + 3);
  expect(html).not.toContain("Loss without");
});
