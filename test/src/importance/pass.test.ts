/** The calibration pass and its scores are Minitron's by torch; it stops, goes on and spills without a trace in the numbers. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { runCalibrationPass, type CalibrationOptions, type TapRequest } from "../../../src/calibrate/index.js";
import { openCheckpoint, type Checkpoint } from "../../../src/checkpoint/index.js";
import {
  aggregationName,
  aggregations,
  axisScores,
  blockImportance,
  type BlockStatistics,
} from "../../../src/importance/aggregate.js";
import { Journal } from "../../../src/importance/journal.js";
import { measureLayerLosses } from "../../../src/importance/layer-losses.js";
import { compareElements } from "../../compare.js";
import { temporaryDirectory } from "../../temporary.js";

interface Fixture {
  model: string;
  samples: number;
  length: number;
  tokens: number[];
  labels: number[];
  scores: Record<string, number[]>;
  blockImportance: [number[], number[]];
  losses: { whole: number; 1: number[]; 2: number[] };
}

const fixtures = join(__dirname, "../../fixtures");
const fixture = JSON.parse(readFileSync(join(fixtures, "importance.json"), "utf8")) as Fixture;
const tokens = Int32Array.from(fixture.tokens);

const taps: TapRequest[] = [
  { tap: "attention_input", statistic: "moments" },
  { tap: "mlp_input", statistic: "moments" },
  { tap: "attention_output", statistic: "moments" },
  { tap: "mlp_product", statistic: "moments" },
  { tap: "block_output", statistic: "cosine" },
];

let model: Checkpoint;
beforeAll(async () => {
  model = await openCheckpoint(join(fixtures, "tiny-llama", fixture.model));
});
afterAll(() => model.close());

function pass(more: Partial<CalibrationOptions> = {}): Promise<Float64Array[][]> {
  return runCalibrationPass({
    model,
    tokens,
    length: fixture.length,
    taps,
    directory: temporaryDirectory(),
    maxBatch: 3,
    ...more,
  });
}

const blockOf = ([attentionInput, mlpInput, attentionOutput, mlpProduct, cosine]: Float64Array[]): BlockStatistics => ({
  attentionInput: attentionInput!,
  mlpInput: mlpInput!,
  attentionOutput: attentionOutput!,
  mlpProduct: mlpProduct!,
  cosine: cosine!,
});

describe("importance", () => {
  it.each(binding.cpuInfo().isas)("%s: every axis and aggregator is torch's", async (isa) => {
    const blocks = (await pass({ isa })).map(blockOf);
    let compared = 0;
    for (const aggregation of aggregations) {
      const scores = axisScores(blocks, model.spec, fixture.samples, aggregation);
      const rows = { ...scores, hidden: [scores.hidden] };
      for (const [axis, values] of Object.entries(rows)) {
        const name = `${axis}.${aggregationName(aggregation)}`;
        const found = values.flatMap((row) => [...row]);
        const expected = fixture.scores[name]!;
        const largest = Math.max(...expected.map(Math.abs));
        compareElements(found, expected, 1e-6 * largest, 1e-4, name);
        compared += 1;
      }
    }
    expect(compared).toBe(Object.keys(fixture.scores).length);
    for (const first of [0, 1] as const) {
      const found = blockImportance(blocks, fixture.samples, first === 0);
      compareElements(found, fixture.blockImportance[first], 1e-6, 1e-4, "block importance");
    }
  });

  it("the loss without layers is torch's", async () => {
    const labels = Int32Array.from(fixture.labels);
    const { length, losses } = fixture;
    const journal = await Journal.open(join(temporaryDirectory(), "journal"));
    const measured = {
      model,
      fingerprint: "model",
      journal,
      tokens,
      labels,
      length,
      sizes: [1, 2],
      batchSize: 3,
      threads: 2,
      isa: "auto" as const,
    };
    const { whole, without } = await measureLayerLosses(measured);
    compareElements([whole], [losses.whole], 0, 1e-5, "whole");
    expect(without.map(({ size }) => size)).toEqual([1, 2]);
    compareElements(without[0]!.losses, losses[1], 0, 1e-5, "without one");
    compareElements(without[1]!.losses, losses[2], 0, 1e-5, "without two");
  });
});

describe("runCalibrationPass", () => {
  it("gives the same bits with hidden states in a file", async () => {
    const directory = temporaryDirectory();
    const plans: unknown[] = [];
    const options: Partial<CalibrationOptions> = {
      directory,
      stateMemoryBytes: 0,
      onProgress: (event) => event.kind === "plan" && plans.push(event),
    };
    expect(await pass(options)).toEqual(await pass());
    expect(plans).toEqual([expect.objectContaining({ statesInMemory: false, tokens: tokens.length, samples: 7 })]);
    expect(readdirSync(directory)).toEqual([]);
  });

  it("goes on after a stop, with the same bits", async () => {
    const directory = temporaryDirectory();
    const stop = new AbortController();
    const stopped = pass({
      directory,
      saveSeconds: 0,
      signal: stop.signal,
      onProgress: (event) => event.kind === "pass" && event.layer === 1 && stop.abort(),
    });
    await expect(stopped).rejects.toMatchObject({ code: "ERR_ABORTED" });
    expect(readdirSync(directory).sort()).toEqual(["pass-1.states", "pass-1.statistics", "progress.json"]);
    const resumed: unknown[] = [];
    const again = await pass({ directory, onProgress: (event) => event.kind === "resumed" && resumed.push(event) });
    expect(resumed).toEqual([{ kind: "resumed", blocks: 1 }]);
    expect(again).toEqual(await pass());
  });

  it.each([
    ["other data", (directory: string) => directory, { tokens: tokens.map((id) => (id + 1) % 2) }],
    ["damaged states", (directory: string) => writeFileSync(join(directory, "pass-1.statistics"), "x"), {}],
  ])("begins anew with %s", async (_what, damage, more) => {
    const directory = temporaryDirectory();
    const stop = new AbortController();
    const onProgress: CalibrationOptions["onProgress"] = (event) =>
      event.kind === "pass" && event.layer === 1 && stop.abort();
    await pass({ directory, saveSeconds: 0, signal: stop.signal, onProgress }).catch(() => {});
    damage(directory);
    const events: string[] = [];
    const found = await pass({ directory, ...more, onProgress: ({ kind }) => events.push(kind) });
    expect(events).not.toContain("resumed");
    expect(found).toEqual(await pass(more));
  });

  it("gathers Gram matrices and ranges", async () => {
    const requests: TapRequest[] = [
      { tap: "mlp_product", statistic: "gram" },
      { tap: "mlp_product", statistic: "range" },
      { tap: "mlp_product", statistic: "moments" },
    ];
    const width = model.spec.intermediateSize;
    for (const [gram, range, moments] of await pass({ taps: requests })) {
      const diagonal = Array.from({ length: width }, (_, i) => gram![i * width + i]!);
      // Σ of squared L2 norms over sequences is Σ x², the Gram matrix's diagonal.
      compareElements(diagonal, moments!.subarray(3 * width, 4 * width), 1e-6, 1e-4, "diagonal");
      for (let i = 0; i < width; ++i)
        for (let j = 0; j < i; ++j) expect(gram![i * width + j]).toBeCloseTo(gram![j * width + i]!, 5);
      const [low, high] = [range!.subarray(0, width), range!.subarray(width, 2 * width)];
      const bins = range!.subarray(2 * width);
      expect(low.every((value, i) => value <= high[i]!)).toBe(true);
      expect(bins.reduce((sum, count) => sum + count, 0)).toBe(tokens.length * width);
      const largest = Math.max(...high.map((value, i) => Math.max(Math.abs(value), Math.abs(low[i]!))));
      const top = bins.reduce((last, count, i) => (count > 0 ? i : last), 0);
      expect(2 ** (top - 41)).toBeLessThanOrEqual(largest);
      expect(2 ** (top - 40)).toBeGreaterThan(largest);
    }
  });

  it.each([
    ["an id beyond the vocabulary", { tokens: tokens.map(() => 1 << 20) }, "ERR_TOKEN_ID"],
    ["cosine elsewhere", { taps: [{ tap: "mlp_input", statistic: "cosine" }] as TapRequest[] }, "ERR_ARGUMENT"],
  ])("refuses %s", async (_what, more, code) => {
    await expect(pass(more)).rejects.toMatchObject({ code });
  });

  it("names the disk that takes no hidden states", async () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, "hidden-states"));
    await expect(pass({ directory, stateMemoryBytes: 0 })).rejects.toMatchObject({ code: "ERR_FILE_WRITE" });
  });
});
