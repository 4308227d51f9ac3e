/** Made-up but plausible report data. */
import type { BenchCell } from "../../../src/bench/index.js";
import type { ReportData, ReportEngine } from "../../../src/report/index.js";

export function sampleCell(
  engine: string,
  isl: number,
  osl: number,
  batch: number,
  change: Partial<BenchCell> = {},
): BenchCell {
  const int8 = engine.includes("int8");
  const decode = (int8 ? 118 : 46) * batch ** 0.72 * (1 - isl / 6000);
  const prefill = (int8 ? 1490 : 640) * (isl > 200 ? 1.08 : 0.92);
  const tpotMs = (1000 * batch) / decode;
  const ttftMs = (1000 * isl * (1 + (batch - 1) * 0.6)) / prefill;
  const spread = (value: number): { median: number; min: number; max: number } => ({
    median: value,
    min: value * 0.95,
    max: value * 1.04,
  });
  return {
    engine,
    isl,
    osl,
    batch,
    ttftMs,
    tpotMs,
    itlP50Ms: tpotMs * 0.98,
    itlP90Ms: tpotMs * 1.12,
    itlP99Ms: tpotMs * 1.55,
    prefillTokensPerSecond: prefill,
    decodeTokensPerSecond: decode,
    requestsPerSecond: (1000 * batch) / (ttftMs + osl * tpotMs),
    decodeGBps: ((int8 ? 0.136 : 0.539) * decode) / batch,
    prefillGflops: prefill * 0.23,
    ceilingGBps: 27.4,
    ceilingGflops: int8 ? 1210 : 231,
    peakRssMB: int8 ? 321 : 714,
    loadMs: int8 ? 388 : 402,
    cpu: "Example CPU @ 2.60GHz",
    isa: "avx512",
    threads: 2,
    weights: int8 ? "int8-w8a8" : "f32",
    kvDtype: "f32",
    repeats: 5,
    spread: {
      ttftMs: spread(ttftMs),
      tpotMs: spread(tpotMs),
      prefillTokensPerSecond: spread(prefill),
      decodeTokensPerSecond: spread(decode),
    },
    overlap: "full",
    ceilingKind: int8 ? "int8" : "f32",
    baseRssMB: 110,
    foreignCpuShare: 0.012,
    disturbed: false,
    attempts: 1,
    ...change,
  };
}

export function sampleEngine(directory: string, label: string, sizeBytes: number): ReportEngine {
  return {
    directory,
    label,
    sizeBytes,
    source: { name: "SmolLM2-135M-Instruct", format: "gguf", parameters: 134_515_008 },
    formats: { [label]: sizeBytes * 0.998, f32: sizeBytes * 0.002 },
    facts: {
      Family: "llama",
      Layers: 30,
      "Hidden size": 576,
      "Feed-forward size": 1536,
      "Heads (key-value)": "9 (3)",
      Vocabulary: "49,152",
      Context: "8,192",
      "Output layer": "tied to the embedding",
    },
  };
}

export function sampleReport(change: Partial<ReportData> = {}): ReportData {
  const keys: [number, number, number][] = [
    [128, 32, 1],
    [512, 128, 1],
    [128, 32, 8],
    [512, 128, 8],
  ];
  const cells = keys.flatMap(([isl, osl, batch]) => [
    sampleCell("out/f32", isl, osl, batch),
    sampleCell("out/int8", isl, osl, batch, {
      ...(isl === 512 && batch === 8 ? { disturbed: true, foreignCpuShare: 0.11, attempts: 3 } : {}),
      comparison: {
        baseline: "out/f32",
        ratios: {
          ttftMs: { median: 0.43, min: 0.4, max: 0.46 },
          tpotMs: { median: 0.39, min: 0.37, max: 0.44 },
          prefillTokensPerSecond: { median: 2.33, min: 2.18, max: 2.5 },
          decodeTokensPerSecond: { median: 2.57, min: 2.3, max: 2.71 },
        },
      },
    }),
  ]);
  const perplexity = (engine: string, value: number): ReportData["perplexity"][number] => ({
    engine,
    corpus: "Moby-Dick, chapters 1 to 5",
    perplexity: value,
    nll: Math.log(value),
    bitsPerByte: null,
    tokens: 19_929,
    windows: 39,
    window: 512,
    stride: 512,
  });
  return {
    title: "SmolLM2-135M-Instruct",
    createdAt: "2026-11-12T09:41:00.000Z",
    espalierVersion: "0.1.0",
    machine: {
      cpu: "Example CPU @ 2.60GHz",
      physicalCores: 2,
      logicalCpus: 2,
      memoryBytes: 25.3e9,
      os: "Linux 6.1.0",
      node: "20.20.2",
    },
    engines: [sampleEngine("out/f32", "f32", 538.1e6), sampleEngine("out/int8", "int8-w8a8", 135.9e6)],
    cells,
    perplexity: [perplexity("out/f32", 31.427), perplexity("out/int8", 31.712)],
    samples: [
      {
        prompt: "Why do gardeners train a tree against a wall?",
        answers: [
          {
            engine: "out/f32",
            text: "A tree that grows against a warm wall takes up little room, is easy to reach, and ripens its fruit earlier. The gardener ties young branches to wires and cuts what grows the wrong way.",
          },
          {
            engine: "out/int8",
            text: "A tree trained against a wall takes little room, is easy to pick, and ripens its fruit earlier, because the wall holds the warmth of the day. Young branches are tied to wires.",
          },
        ],
      },
    ],
    commands: [
      "npx espalier build SmolLM2-135M-Instruct out/f32 --weights f32",
      "npx espalier build SmolLM2-135M-Instruct out/int8 --weights int8-w8a8",
      "npx espalier bench out/f32 --compare out/int8 --isl 128,512 --osl 32,128 --batch 1,8 --json",
    ],
    ...change,
  };
}
