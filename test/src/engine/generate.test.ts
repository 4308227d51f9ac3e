import { EspalierError } from "../../../src/errors.js";
import type { Engine } from "../../../src/engine/index.js";
import { loadTiny, someIds } from "./fixtures.js";

const code = (expected: string) => expect.objectContaining({ code: expected });

describe("generate", () => {
  let engine: Engine;
  beforeAll(async () => (engine = await loadTiny("plain-v4", { contextTokens: 100, kvTokens: 400 })));
  afterAll(() => engine.dispose());
  const greedy = { temperature: 0, ignoreEos: true } as const;

  it("streams what result() gives", async () => {
    const generation = engine.generate({ ids: [1, 2, 3], maxTokens: 12, ...greedy });
    const ids: number[] = [];
    for await (const chunk of generation) ids.push(...chunk.tokens.map((token) => token.id));
    const result = await generation.result();
    expect(ids).toEqual(result.ids);
    expect(result).toMatchObject({ finishReason: "length", promptIds: [1, 2, 3] });
    expect(result.totalMs).toBeGreaterThanOrEqual(result.ttftMs);
  });

  it("ends at the end-of-sequence id, which is among the ids", async () => {
    const free = await engine.generate({ ids: [4, 5, 6], maxTokens: 40, ...greedy }).result();
    const stop = free.ids[5] as number;
    const spec = engine.spec as { eosTokenIds: number[] };
    const before = spec.eosTokenIds;
    spec.eosTokenIds = [stop];
    const ended = await engine.generate({ ids: [4, 5, 6], maxTokens: 40, temperature: 0 }).result();
    spec.eosTokenIds = before;
    expect(ended.ids).toEqual(free.ids.slice(0, free.ids.indexOf(stop) + 1));
    expect(ended.finishReason).toBe("stop");
  });

  it("stops when the context is full", async () => {
    const result = await engine.generate({ ids: someIds(90, 61), maxTokens: 50, ...greedy }).result();
    expect(result.ids).toHaveLength(10);
    expect(result.finishReason).toBe("context");
  });

  it("reuses the cache of a prompt with the same beginning, with the same outcome", async () => {
    const ids = someIds(75, 61, 9);
    const first = await engine.generate({ ids, maxTokens: 8, ...greedy }).result();
    const again = await engine.generate({ ids, maxTokens: 8, ...greedy }).result();
    const other = await engine.generate({ ids: [...ids.slice(0, 40), 7, 7], maxTokens: 8, ...greedy }).result();
    const fresh = await engine
      .generate({ ids: [...ids.slice(0, 40), 7, 7], maxTokens: 8, reusePrefix: false, ...greedy })
      .result();
    expect([first.reusedTokens, again.reusedTokens, other.reusedTokens, fresh.reusedTokens]).toEqual([0, 74, 40, 0]);
    expect(again.ids).toEqual(first.ids);
    expect(other.ids).toEqual(fresh.ids);
  });

  it("gives the same text for the same seed and another for another", async () => {
    const run = async (seed: number): Promise<number[]> =>
      (await engine.generate({ ids: [1, 2, 3], maxTokens: 30, temperature: 2, seed, ignoreEos: true }).result()).ids;
    const first = await run(7);
    expect(await run(7)).toEqual(first);
    expect(await run(8)).not.toEqual(first);
  });

  it("reports log-probabilities, best first", async () => {
    const { tokens } = await engine.generate({ ids: [1, 2, 3], maxTokens: 3, logprobs: 5, ...greedy }).result();
    const rows = await engine.logits([1, 2, 3]);
    const row = Array.from(rows[0] as Float32Array);
    const total = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
    const best = row.map((value, id) => ({ id, logprob: value - total })).sort((a, b) => b.logprob - a.logprob);
    expect(tokens[0]?.top.map((entry) => entry.id)).toEqual(best.slice(0, 5).map((entry) => entry.id));
    expect(tokens[0]?.logprob).toBeCloseTo(best[0]?.logprob as number, 4);
  });

  it("is cancelled by its signal, before and during", async () => {
    const controller = new AbortController();
    const generation = engine.generate({ ids: [1], maxTokens: 90, signal: controller.signal, ...greedy });
    let seen = 0;
    await expect(
      (async () => {
        for await (const chunk of generation) {
          seen += chunk.tokens.length;
          controller.abort();
        }
      })(),
    ).rejects.toEqual(code("ERR_ABORTED"));
    expect(seen).toBeGreaterThan(0);
    await expect(engine.generate({ ids: [1], signal: controller.signal }).result()).rejects.toEqual(
      code("ERR_ABORTED"),
    );
  });

  it("is cancelled when the consumer leaves the loop", async () => {
    const generation = engine.generate({ ids: [1], maxTokens: 90, ...greedy });
    for await (const chunk of generation) if (chunk.tokens.length > 0) break;
    await expect(generation.result()).rejects.toEqual(code("ERR_ABORTED"));
  });

  it("serves more requests than fit at once", async () => {
    const many = Array.from({ length: 30 }, (_, i) =>
      engine.generate({ ids: someIds(20, 61, i), maxTokens: 10, ...greedy }).result(),
    );
    const results = await Promise.all(many);
    expect(results.every((result) => result.ids.length === 10)).toBe(true);
    // Statistics are as of the last finished step; the last result may come a moment before its step ends.
    for (let tries = 0; engine.stats().active > 0 && tries < 100; ++tries)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(engine.stats()).toMatchObject({ active: 0, waiting: 0 });
  });

  it.each([
    ["an empty prompt", { ids: [] }, "ERR_EMPTY_PROMPT"],
    ["an id outside the vocabulary", { ids: [61] }, "ERR_TOKEN_ID"],
    ["a negative id", { ids: [-1] }, "ERR_TOKEN_ID"],
    ["a prompt beyond the context", { ids: someIds(100, 61) }, "ERR_CONTEXT_LENGTH"],
    ["text without a tokenizer", { prompt: "hello" }, "ERR_TOKENIZER_MISSING"],
    ["no prompt", {}, "ERR_ARGUMENT"],
    ["two prompts", { ids: [1], prompt: "x" }, "ERR_ARGUMENT"],
    ["a bad temperature", { ids: [1], temperature: -1 }, "ERR_ARGUMENT"],
    ["a bad topP", { ids: [1], topP: 0 }, "ERR_ARGUMENT"],
    ["NaN", { ids: [1], minP: NaN }, "ERR_ARGUMENT"],
    ["maxTokens 0", { ids: [1], maxTokens: 0 }, "ERR_ARGUMENT"],
    ["a fractional seed", { ids: [1], seed: 1.5 }, "ERR_ARGUMENT"],
  ])("refuses %s", async (_, options, expected) => {
    await expect(engine.generate(options).result()).rejects.toEqual(code(expected));
    await expect(engine.generate(options).result()).rejects.toBeInstanceOf(EspalierError);
  });

  it("names the option, what was expected and what came", async () => {
    await expect(engine.generate({ ids: [1], topP: 3 }).result()).rejects.toThrow(/topP: .*<=1.*found 3/);
    await expect(engine.generate({ ids: [5, 99] }).result()).rejects.toThrow(
      "ids[1]: expected 0 <= id < 61 (the vocabulary), found 99",
    );
  });
});
