import { join } from "node:path";
import { parameterCount } from "../../../src/model/families.js";
import { specFromConfig } from "../../../src/model/hf-config.js";
import { parseTarget } from "../../../src/prune/budget.js";
import { findCandidates } from "../../../src/prune/candidates.js";
import { resolvePruneOptions, type PruneOptions, type ResolvedPruneOptions } from "../../../src/prune/config.js";
import { prune } from "../../../src/prune/index.js";
import { specWith } from "../../../src/prune/shape.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { scoresOf, smallConfig, writeModel } from "./fixtures.js";

const config = { ...smallConfig, hidden_size: 96, intermediate_size: 160, num_hidden_layers: 10 };
const spec = specFromConfig(config, "test");
const source = parameterCount(spec);
const llama = join(__dirname, "../../fixtures/prune/llama-3.1-8b");
let model: string;
beforeAll(() => {
  model = writeModel(join(temporaryDirectory(), "m"), config);
});

const resolved = (options: PruneOptions): ResolvedPruneOptions =>
  resolvePruneOptions({ model: "m", dryRun: true, ...options });

it("the published sizes of Llama-3.1-8B", async () => {
  const width = await prune({ configOnly: join(llama, "config.json"), ffn: 9216, hidden: 3072 });
  expect(width).toMatchObject({ parameters: 4512746496, sourceParameters: 8030261248, droppedLayers: [] });
  const depth = await prune({ configOnly: llama, dropLayers: "16-31" });
  expect(depth.parameters).toBe(4540469248);
  expect(depth.droppedLayers).toEqual(Array.from({ length: 16 }, (_, i) => 16 + i));
  expect((await prune({ configOnly: llama, layers: "50%" })).droppedLayers).toBeNull();
});

it("reads budgets", () => {
  expect([1e6, "1M", "1000K", "0.001B", "10%"].map((text) => parseTarget("params", text, 1e7))).toEqual(
    Array(5).fill(1e6),
  );
});

it("candidates are near the budget, divide, and keep to the limits; without scores the largest comes first", async () => {
  const { candidates = [] } = await prune({ configOnly: llama, targetParams: "60%" });
  expect(candidates.length).toBeGreaterThan(20);
  for (const row of candidates) {
    expect(Math.abs(row.parameters / (0.6 * 8030261248) - 1)).toBeLessThanOrEqual(0.05);
    expect([row.hidden % row.heads, row.heads % row.kvHeads, row.layers % 2]).toEqual([0, 0, 0]);
    expect(Math.min(row.hidden / 4096, row.ffn / 14336, row.heads / 32)).toBeGreaterThanOrEqual(0.6);
    expect(row.layers).toBeGreaterThanOrEqual(26);
  }
  const sizes = candidates.map((row) => row.parameters);
  expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
});

it("with scores the candidate that keeps most importance wins", async () => {
  const scores = await scoresOf(model);
  const found = findCandidates(spec, resolved({ targetParams: "70%" }), scores);
  const kept = found.map((row) => row.keptImportance ?? NaN);
  expect(kept.length).toBeGreaterThan(3);
  expect(kept).toEqual([...kept].sort((a, b) => b - a));
  expect(Math.max(...kept)).toBeLessThan(1);
  for (const row of found) expect(row.parameters).toBe(parameterCount(specWith(spec, row)));
  const { shape, parameters } = await prune({ model, importance: scores, targetParams: "70%", dryRun: true });
  expect(found[0]).toMatchObject({ parameters, hidden: shape.hidden, ffn: shape.ffn, layers: shape.layers });
  // By hand: one axis only, the part of the scores that stays.
  const [row] = findCandidates(spec, resolved({ targetParams: "80%", axes: ["layers"] }), scores);
  const order = [...scores.layers!].sort((a, b) => b - a);
  const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
  expect(row?.keptImportance).toBeCloseTo(sum(order.slice(0, row!.layers)) / sum(order), 12);
});

it("sizes given beside the budget are held, axes not named stay", () => {
  const some = findCandidates(spec, resolved({ targetParams: "75%", ffn: "75%", axes: ["hidden", "ffn"] }), null);
  expect(new Set(some.map((row) => `${row.ffn} ${row.heads} ${row.layers}`))).toEqual(new Set(["120 4 10"]));
  const dropped = findCandidates(spec, resolved({ targetParams: "75%", dropLayers: "2" }), null);
  expect(new Set(dropped.map((row) => row.layers))).toEqual(new Set([9]));
});

it("depth is searched as far as the scores tell", async () => {
  const scores = await scoresOf(model);
  const depths = (options: PruneOptions, change: object): number[] =>
    [...new Set(findCandidates(spec, resolved(options), { ...scores, ...change }).map((row) => row.layers))].sort();
  expect(depths({ targetParams: "80%" }, {})).toEqual([10, 8, 9]);
  expect(depths({ targetParams: "80%" }, { layers: null })).toEqual([10]);
  const contiguous = [{ size: 2, lossWithout: new Float64Array(9) }];
  expect(depths({ targetParams: "80%", layerMethod: "contiguous-loss" }, { contiguous })).toEqual([10, 8]);
  expect(() => depths({ targetParams: "80%", axes: ["layers"] }, { layers: null })).toThrow(
    coded("ERR_PRUNE_SCORES", "axes", "block importance"),
  );
  const { candidates = [] } = await prune({ model, targetParams: "80%", listCandidates: true });
  expect(new Set(candidates.map((row) => row.keptImportance))).toEqual(new Set([null]));
});

it("a budget out of reach names what there is", () => {
  expect(() => findCandidates(spec, resolved({ targetParams: "5%" }), null)).toThrow(
    coded("ERR_PRUNE_BUDGET", String(Math.round(0.05 * source)), "found"),
  );
});
