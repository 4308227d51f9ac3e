import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { comparisonSentence, headlineKey } from "../../../src/report/comparison.js";
import { renderReport, reportMachine, writeReport, type ReportData } from "../../../src/report/index.js";
import { checkMarkup } from "./check-markup.js";
import { sampleCell, sampleEngine, sampleReport } from "./sample-data.js";

const hostile = `"><script>alert('x')</script>&<style>*{}</style>`;

function single(change: Partial<ReportData> = {}): ReportData {
  return sampleReport({
    engines: [sampleEngine("out/int8", "int8-w8a8", 136e6)],
    cells: [sampleCell("out/int8", 128, 32, 1)],
    perplexity: [],
    samples: [],
    commands: [],
    ...change,
  });
}

describe("renderReport", () => {
  it("is one whole page that needs nothing from outside", () => {
    const page = renderReport(sampleReport());
    checkMarkup(page);
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).not.toMatch(/<script|<link|<img|https?:|url\(|@import|NaN|undefined|\[object/);
    for (const text of [
      "SmolLM2-135M-Instruct",
      "31.427",
      "Moby-Dick",
      "Why do gardeners",
      "espalier bench",
      "11 %",
      "of 8 cells w",
    ])
      expect(page).toContain(text);
    expect(page).toContain("prefers-color-scheme:dark");
    expect(page).toContain("@media print");
  });

  it("escapes whatever comes from models and files", () => {
    const data = sampleReport({
      title: hostile,
      commands: [hostile],
      samples: [{ prompt: hostile, answers: [{ engine: hostile, text: hostile }] }],
      engines: [sampleEngine("out/f32", hostile, 1e6), sampleEngine(hostile, hostile, 1e6)],
    });
    data.machine.cpu = hostile;
    const first = data.engines[0];
    if (first !== undefined) {
      first.source.name = hostile;
      first.facts = { [hostile]: hostile };
    }
    for (const row of data.perplexity) row.corpus = hostile;
    const page = renderReport(data);
    checkMarkup(page);
    expect(page).not.toContain("<script");
    expect(page.split("<style>")).toHaveLength(2);
  });

  it("draws a single engine, many cells, and a report without measurements", () => {
    const many = Array.from({ length: 20 }, (_, index) => sampleCell("out/int8", 16 * (index + 1), 32, 1));
    for (const data of [single(), single({ cells: many }), single({ cells: [] }), single({ engines: [], cells: [] })])
      checkMarkup(renderReport(data));
    expect(renderReport(single())).not.toContain('class="legend"');
    expect(renderReport(single())).not.toContain("Side by side");
  });

  it("draws cells with nothing to decode, and cells that never overlapped", () => {
    const none = {
      tpotMs: null,
      itlP50Ms: null,
      itlP90Ms: null,
      itlP99Ms: null,
      decodeTokensPerSecond: null,
      decodeGBps: null,
      overlap: null,
    };
    const cell = sampleCell("out/int8", 128, 1, 1, none);
    cell.spread = { ...cell.spread, tpotMs: null, decodeTokensPerSecond: null };
    const page = renderReport(
      single({
        cells: [
          cell,
          sampleCell("out/int8", 512, 32, 64, { overlap: "partial", foreignCpuShare: null, disturbed: null }),
        ],
      }),
    );
    checkMarkup(page);
    expect(page).toContain("‡");
    expect(page).not.toMatch(/NaN|null/);
  });
});

describe("words", () => {
  it("compares the last engine with the first at the longest cell of the smallest batch", () => {
    const data = sampleReport();
    expect(headlineKey(data)).toEqual({ isl: 512, osl: 128, batch: 1 });
    expect(comparisonSentence(data)).toBe(
      "Against f32, int8-w8a8 is 3.96× smaller, decodes 2.57× faster and gives its first token 2.33× sooner; its perplexity is 0.9\u00a0% higher.",
    );
    expect(comparisonSentence(single())).toBeNull();
    expect(comparisonSentence(sampleReport({ cells: [], perplexity: [] }))).toBe(
      "Against f32, int8-w8a8 is 3.96× smaller.",
    );
    const reversed = sampleReport();
    reversed.engines.reverse();
    expect(comparisonSentence(reversed)).toContain("3.96× larger, decodes 2.57× slower");
  });

  it("knows this machine", () => {
    expect(reportMachine()).toMatchObject({ node: process.versions.node });
    expect(reportMachine().memoryBytes).toBeGreaterThan(1e6);
  });
});

describe("writeReport", () => {
  it("replaces a page whole, and leaves nothing behind when it cannot", async () => {
    const folder = await mkdtemp(join(tmpdir(), "espalier-"));
    try {
      const path = join(folder, "report.html");
      await writeReport(single(), path);
      await writeReport(sampleReport(), path);
      expect(await readFile(path, "utf8")).toBe(renderReport(sampleReport()));
      await expect(writeReport(single(), join(folder, "none", "report.html"))).rejects.toMatchObject({
        code: "ERR_FILE_WRITE",
      });
      expect(await readdir(folder)).toEqual(["report.html"]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
