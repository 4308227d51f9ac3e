/** Budgets of memory and of time. */
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { parameterCount } from "../../../src/model/families.js";
import { specFromConfig } from "../../../src/model/hf-config.js";
import { memoryBytes, parseTarget } from "../../../src/prune/budget.js";
import { findCandidates, findLatencyCandidates, type Candidate } from "../../../src/prune/candidates.js";
import { resolvePruneOptions, type PruneOptions, type ResolvedPruneOptions } from "../../../src/prune/config.js";
import { prune } from "../../../src/prune/index.js";
import { measureDecode, type MeasuredLatency } from "../../../src/prune/latency.js";
import { shapeOf, specWith } from "../../../src/prune/shape.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier } from "../cli/run.js";
import { scoresOf, smallConfig, writeModel } from "./fixtures.js";

const config = { ...smallConfig, hidden_size: 96, intermediate_size: 160, num_hidden_layers: 10 };
const spec = specFromConfig(config, "test");
const parameters = parameterCount(spec);
const llama = join(__dirname, "../../fixtures/prune/llama-3.1-8b");
const llamaConfig = JSON.parse(readFileSync(join(llama, "config.json"), "utf8")) as Record<string, unknown>;
let model: string;
beforeAll(() => {
  model = writeModel(join(temporaryDirectory(), "m"), config);
});

const resolved = (options: PruneOptions): ResolvedPruneOptions =>
  resolvePruneOptions({ model: "m", dryRun: true, ...options });

describe("memory", () => {
  it("is Model Optimizer's formula", () => {
    // Llama-3.1-8B in 16 bits, 4096 tokens: 8,030,261,248 parameters; 32 layers, 8 KV heads of 128
    const big = specFromConfig(llamaConfig, "llama");
    const cache = (batch: number, tokens: number): number => 32 * 2 * batch * tokens * 8 * 128 * 2;
    expect(memoryBytes(big, { dtype: "bf16" })).toBe(2 * 8030261248 + cache(1, 4096));
    expect(memoryBytes(big, { dtype: "bf16", budgetBatch: 8, budgetContext: 100 })).toBe(
      2 * 8030261248 + cache(8, 100),
    );
    expect(memoryBytes(big, {})).toBe(2 * memoryBytes(big, { dtype: "f16" }));
  });

  it("reads units", () => {
    expect(["50MB", "50000000", "0.05GB", "50000KB", "50%"].map((text) => parseTarget("memory", text, 1e8))).toEqual(
      Array(5).fill(5e7),
    );
    expect(parseTarget("memory", "1.5MiB", 1e8)).toBe(1.5 * 2 ** 20);
  });

  it("candidates take what is asked for within 5 %", async () => {
    const options = resolved({ targetMemory: "70%", budgetBatch: 4, budgetContext: 32, dtype: "f16" });
    const scores = await scoresOf(model);
    const found = findCandidates(spec, options, scores);
    expect(found.length).toBeGreaterThan(3);
    for (const row of found) {
      expect(row.memoryBytes).toBe(memoryBytes(specWith(spec, row), options));
      expect(Math.abs(row.memoryBytes! / (0.7 * memoryBytes(spec, options)) - 1)).toBeLessThanOrEqual(0.05);
    }
    const kept = found.map((row) => row.keptImportance ?? NaN);
    expect(kept).toEqual([...kept].sort((a, b) => b - a));
    // keys and values count: with many tokens fewer heads would help, but groups stay, so only layers do
    const long = { targetMemory: "60%", budgetContext: 1_000_000 } as const;
    expect(() => findCandidates(spec, resolved(long), scores)).toThrow(coded("ERR_PRUNE_BUDGET", "bytes"));
  });

  it("bytes follow the dtype: given, or as the source or the config stores weights", async () => {
    const first = async (options: PruneOptions): Promise<number> =>
      (await prune({ targetMemory: "60%", listCandidates: true, ...options })).candidates![0]!.memoryBytes!;
    expect(await first({ model, importance: "random" })).toBe(
      2 * (await first({ model, importance: "random", dtype: "f16" })),
    );
    expect(await first({ configOnly: llama })).toBe((await first({ configOnly: llama, dtype: "f32" })) / 2);
    const args = ["--config-only", llama, "--target-memory", "10GB", "--list-candidates"];
    const { status, stdout } = await espalier(["prune", ...args]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/memory/);
  });
});

describe("latency", () => {
  const always = (latencyMs: number) => (): Promise<MeasuredLatency> => Promise.resolve({ latencyMs, disturbed: null });
  const source = (latencyMs: number): Candidate & { latencyMs: number } => ({
    ...shapeOf(spec),
    parameters,
    keptImportance: null,
    latencyMs,
  });

  it("measures few shapes, and takes only those that were", async () => {
    const scores = await scoresOf(model);
    const measured: Candidate[] = [];
    // more than in proportion: layers cost besides their weights
    const measure = async (row: Candidate): Promise<MeasuredLatency> => {
      measured.push(row);
      return { latencyMs: (5 * row.parameters) / parameters + 0.3 * row.layers, disturbed: false };
    };
    const found = await findLatencyCandidates(spec, resolved({ targetLatency: 6 }), scores, source(8), measure);
    expect(measured.length).toBeLessThanOrEqual(10);
    expect(found.length).toBeGreaterThan(0);
    for (const row of found) {
      expect(Math.abs(row.latencyMs! - 6)).toBeLessThanOrEqual(0.3);
      expect(measured).toContainEqual(expect.objectContaining({ ...shapeOf(specWith(spec, row)) }));
    }
    const kept = found.map((row) => row.keptImportance ?? NaN);
    expect(kept).toEqual([...kept].sort((a, b) => b - a));
    const half = await findLatencyCandidates(spec, resolved({ targetLatency: "75%" }), scores, source(8), measure);
    expect(half).toEqual(found);
  });

  it("says what was measured when nothing meets it, and refuses what the source does not take", async () => {
    const never = findLatencyCandidates(spec, resolved({ targetLatency: "70%" }), null, source(8), always(7.9));
    await expect(never).rejects.toThrow(coded("ERR_PRUNE_BUDGET", "11 measured from 7.900 ms to 8.000 ms"));
    const slower = findLatencyCandidates(spec, resolved({ targetLatency: "9ms" }), null, source(8), always(1));
    await expect(slower).rejects.toThrow(coded("ERR_ARGUMENT", "fewer than the source's 8.000 ms a token", "9ms"));
  });

  it("times an engine with random weights, of any format, and leaves nothing behind", async () => {
    const before = leftovers();
    for (const { id } of binding.weightFormats().filter(({ id }) => ["f32", "int8"].includes(id)))
      expect((await measureDecode(spec, { budgetIsl: 8, budgetOsl: 4, budgetWeights: id })).latencyMs).toBeGreaterThan(
        0,
      );
    const gone = AbortSignal.abort();
    await expect(measureDecode(spec, { budgetIsl: 8, budgetOsl: 4 }, gone)).rejects.toThrow(coded("ERR_ABORTED"));
    const unknown = measureDecode(spec, { budgetIsl: 8, budgetOsl: 4, budgetWeights: "int3" });
    await expect(unknown).rejects.toThrow(coded("ERR_WEIGHT_FORMAT", "int3"));
    expect(leftovers()).toEqual(before);
  });

  it("prunes to a latency, or says that none of what it measured is near: the clock decides", async () => {
    const seen: Candidate[] = [];
    const options = { model, importance: "random", targetLatency: "70%", budgetIsl: 8, budgetOsl: 16, dryRun: true };
    const result = await prune(options, { onMeasured: (row) => seen.push(row) }).catch((error: unknown) => error);
    expect(seen[0]).toMatchObject({ parameters });
    if (result instanceof Error) expect(result).toMatchObject({ code: "ERR_PRUNE_BUDGET" });
    else
      expect(result).toMatchObject({ sourceLatencyMs: seen[0]!.latencyMs, candidates: expect.any(Array) as unknown });
  });
});

function leftovers(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("espalier-latency-"));
}
