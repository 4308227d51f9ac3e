import { join } from "node:path";
import { binding, type IsaName } from "../../../src/binding.js";
import { buildEngine, Engine, kvDtypes } from "../../../src/engine/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { expectedOf, largestDifference, loadTiny, someIds, tinyLlama, tinyLlamas } from "./fixtures.js";

const directory = temporaryDirectory();

/** Bound of the issue: against transformers in float32. */
const TRANSFORMERS_BOUND = 2e-4;
/** Chunks and batches only change the order of float32 sums. */
const REGROUPING_BOUND = 2e-5;

/** Dynamic scaling goes on beyond the context of the config; the default context does not. */
function contextOf(name: string): { contextTokens?: number } {
  return name.startsWith("dynamic") ? { contextTokens: 128 } : {};
}

function flat(rows: Float32Array[]): Float32Array {
  const out = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    out.set(row, at);
    at += row.length;
  }
  return out;
}

describe("logits of tiny Llamas equal transformers'", () => {
  const cases = tinyLlamas.flatMap((name) => binding.cpuInfo().isas.map((isa): [string, IsaName] => [name, isa]));
  it.each(cases)("%s on %s", async (name, isa) => {
    const expected = expectedOf(name);
    await using engine = await loadTiny(name, { isa, ...contextOf(name) });
    const logits = flat(await engine.logits(expected.ids, { all: true }));
    expect(largestDifference(logits, expected.logits)).toBeLessThanOrEqual(TRANSFORMERS_BOUND);
  });

  it("the comparison rejects a corrupted value", () => {
    const expected = expectedOf(tinyLlamas[0] as string).logits;
    const corrupted = expected.slice();
    corrupted[7] = (corrupted[7] as number) + 1e-3;
    expect(largestDifference(corrupted, expected)).toBeGreaterThan(TRANSFORMERS_BOUND);
    corrupted[7] = NaN;
    expect(largestDifference(corrupted, expected)).toBeNaN();
  });

  it.each(tinyLlamas)("%s continues greedily as transformers does", async (name) => {
    const expected = expectedOf(name);
    await using engine = await loadTiny(name, contextOf(name));
    const generation = engine.generate({
      ids: expected.ids,
      maxTokens: expected.greedy.length,
      temperature: 0,
      ignoreEos: true,
      repetitionPenalty: 1,
    });
    expect((await generation.result()).ids).toEqual(expected.greedy);
  });
});

describe("grouping does not change results", () => {
  it.each([1, 7, 16, 33])("prefill in chunks of %i equals whole prefill", async (prefillChunk) => {
    const ids = someIds(70, 61);
    await using whole = await loadTiny("plain-v4");
    await using chunked = await loadTiny("plain-v4", { prefillChunk });
    const expected = flat(await whole.logits(ids, { all: true }));
    const found = flat(await chunked.logits(ids, { all: true }));
    expect(largestDifference(found, expected)).toBeLessThanOrEqual(REGROUPING_BOUND);
  });

  it.each(kvDtypes)("decoding in a batch equals decoding alone, %s cache", async (kvDtype) => {
    const prompts = [3, 40, 17, 1, 64].map((length, i) => someIds(length, 61, i + 5));
    await using engine = await loadTiny("tied-gqa4-v4", { kvDtype });
    const run = async (ids: number[]): Promise<number[]> =>
      (await engine.generate({ ids, maxTokens: 20, temperature: 0, ignoreEos: true, reusePrefix: false }).result()).ids;
    const alone: number[][] = [];
    for (const ids of prompts) alone.push(await run(ids));
    expect(await Promise.all(prompts.map(run))).toEqual(alone);
  });

  it.each([
    ["f16", 2e-2],
    ["bf16", 1.5e-1],
  ] as const)("a %s cache stays within %d of the f32 cache", async (kvDtype, bound) => {
    const ids = someIds(50, 61);
    await using exact = await loadTiny("plain-v4");
    await using rounded = await loadTiny("plain-v4", { kvDtype });
    const difference = largestDifference(
      flat(await rounded.logits(ids, { all: true })),
      flat(await exact.logits(ids, { all: true })),
    );
    expect(difference).toBeLessThanOrEqual(bound);
    expect(difference).toBeGreaterThan(0);
  });

  it("every isa agrees with the reference for every weight format", async () => {
    const ids = someIds(40, 61);
    for (const { id } of binding.weightFormats().filter(({ inputScale }) => !inputScale)) {
      await using reference = await loadTiny("bias-v4", { isa: "ref" }, id);
      const expected = flat(await reference.logits(ids, { all: true }));
      for (const isa of binding.cpuInfo().isas) {
        await using engine = await loadTiny("bias-v4", { isa }, id);
        const found = flat(await engine.logits(ids, { all: true }));
        // A rounding tie of a quantized activation may fall the other way; that moves a logit by one int8 or bf16 step.
        const bound = id === "f32" || id === "f16" || id === "int8" ? 1e-4 : 5e-2;
        if (!(largestDifference(found, expected) <= bound))
          throw new Error(`${id} on ${isa}: ${largestDifference(found, expected)}`);
      }
    }
  });

  it.each(tinyLlamas)("%s keeps its logits when the residual stream is rotated", async (name) => {
    const expected = expectedOf(name);
    const out = join(directory, name);
    await buildEngine(tinyLlama(name), out, { weights: "f32", rotation: true });
    await using engine = await Engine.load(out, contextOf(name));
    expect(engine.manifest.rotated).toBe(true);
    const logits = flat(await engine.logits(expected.ids, { all: true }));
    expect(largestDifference(logits, expected.logits)).toBeLessThanOrEqual(TRANSFORMERS_BOUND);
  });

  it("score equals log-softmax of the logits", async () => {
    const ids = someIds(30, 61);
    await using engine = await loadTiny("plain-v4");
    const rows = await engine.logits(ids, { all: true });
    const scores = await engine.score(ids);
    const expected = ids.slice(1).map((id, i) => {
      const row = Array.from(rows[i] as Float32Array);
      const largest = Math.max(...row);
      const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
      return (row[id] as number) - largest - Math.log(sum);
    });
    expect(scores.length).toBe(29);
    expect(largestDifference(scores, expected)).toBeLessThanOrEqual(1e-5);
  });

  it.each([false, true])("score from a place on is the rest of the whole; from the cache: %p", async (reusePrefix) => {
    const ids = someIds(100, 61);
    await using engine = await loadTiny("plain-v4", { prefillChunk: 24 });
    const whole = await engine.score(ids);
    for (const from of [1, 2, 24, 33, 64, 65, 98, 99]) {
      const scores = await engine.score(ids, { from, reusePrefix });
      expect(scores.length).toBe(100 - from);
      expect(largestDifference(scores, whole.slice(from - 1))).toBeLessThanOrEqual(1e-5);
    }
  });

  it("takes from the cache what nobody asks logits of", async () => {
    await using engine = await loadTiny("plain-v4");
    const prompt = Int32Array.from(someIds(100, 61));
    const reused = (kind: "logits" | "score", options: object): Promise<number> =>
      new Promise((resolve) => {
        engine.request({ kind, prompt, ...options }, (event) => event.kind === "done" && resolve(event.reusedTokens));
      });
    expect(await reused("score", { scoreFrom: 64 })).toBe(0);
    expect(await reused("score", { scoreFrom: 64 })).toBe(63); // a page, and what the next one has in common
    expect(await reused("score", { scoreFrom: 65 })).toBe(64);
    expect(await reused("score", { scoreFrom: 35 })).toBe(32); // two tokens are not worth a copy
    const other = Int32Array.from(prompt.slice(0, 50));
    other[45] = (prompt[45]! + 1) % 61;
    const partly = new Promise((resolve) => {
      engine.request({ kind: "score", prompt: other, scoreFrom: 49 }, (event) => {
        if (event.kind === "done") resolve(event.reusedTokens);
      });
    });
    expect(await partly).toBe(45);
    expect(await reused("score", {})).toBe(0);
    expect(await reused("logits", {})).toBe(96); // of 99, three are not worth a copy
    expect(await reused("logits", { allLogits: true })).toBe(0);
    expect(await reused("logits", { reusePrefix: false })).toBe(0);
  });
});
