import { binding, type IsaName } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { failureOf, isas, randomArray } from "./row-cases.js";

interface Options {
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  seen?: number[];
  seed?: number;
  isa?: IsaName;
}

/** Ids of `draws` draws from the same logits, and the last one's logprob. */
function sample(logits: ArrayLike<number>, options: Options = {}, draws = 1): { ids: number[]; logprob: number } {
  const ids = new Int32Array(draws);
  const logprob = binding.testing["sample"]!({
    ...options,
    logits: Float32Array.from(logits),
    vocab: logits.length,
    seen: Int32Array.from(options.seen ?? []),
    seenCount: options.seen?.length ?? 0,
    ids,
    draws,
  }) as number;
  return { ids: [...ids], logprob };
}

/** Probabilities after penalty, temperature, top-k, top-p and min-p by full sorting in float64. */
function bruteForce(logits: ArrayLike<number>, options: Options): Map<number, number> {
  const { temperature = 1, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1 } = options;
  const seen = new Set(options.seen ?? []);
  let tokens = Array.from(logits, (logit, id) => {
    const penalized = !seen.has(id) ? logit : logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty;
    return { id, value: penalized / temperature };
  }).sort((a, b) => b.value - a.value || a.id - b.id);
  if (topK > 0 && topK < tokens.length) {
    const least = tokens[topK - 1]!.value;
    tokens = tokens.filter(({ value }) => value >= least);
  }
  const weights = tokens.map(({ id, value }) => ({ id, weight: Math.exp(value - tokens[0]!.value) }));
  const total = weights.reduce((sum, { weight }) => sum + weight, 0);
  let before = 0;
  const kept = weights.filter(({ weight }, rank) => {
    const keep = rank === 0 || before < topP * total;
    before += weight;
    return keep && weight >= minP && weight > 0;
  });
  const mass = kept.reduce((sum, { weight }) => sum + weight, 0);
  return new Map(kept.map(({ id, weight }) => [id, weight / mass]));
}

/** Draws must fall on the expected tokens only, with frequencies inside 5 standard deviations. */
function expectDistribution(logits: ArrayLike<number>, options: Options, label: string): void {
  const expected = bruteForce(logits, options);
  const draws = 20000;
  const counts = new Map<number, number>();
  for (const id of sample(logits, { temperature: 1, seed: 11, ...options }, draws).ids)
    counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const id of counts.keys()) if (!expected.has(id)) throw new Error(`${label}: token ${id} was filtered out`);
  for (const [id, p] of expected) {
    const spread = Math.sqrt((p * (1 - p)) / draws) + 1 / draws;
    const error = Math.abs((counts.get(id) ?? 0) / draws - p);
    if (error > 5 * spread)
      throw new Error(`${label}: token ${id} drawn ${counts.get(id)} times, expected ${p * draws}`);
  }
}

const logits = Array.from(randomArray(97, 5), (value) => value * 4);

describe("sample, greedy", () => {
  it.each(isas)("%s takes the largest, the lowest id among equals", (isa) => {
    expect(sample([1, 3, 2], { isa }).ids).toEqual([1]);
    expect(sample([1, 3, 2, 3, 3], { isa }).ids).toEqual([1]);
    expect(sample(new Array<number>(40).fill(-5), { isa }).ids).toEqual([0]);
    expect(sample([7], { isa }).ids).toEqual([0]);
    for (const at of [0, 15, 16, 300, 576]) {
      const large = Array.from(randomArray(577, 1));
      large[at] = 2;
      expect(sample(large, { isa }).ids).toEqual([at]);
    }
  });

  it.each(isas)("%s gives the logprob under the raw logits", (isa) => {
    const large = Array.from(randomArray(49152, 2), (value) => value * 10);
    const maximum = large.reduce((a, b) => Math.max(a, b));
    const sum = large.reduce((a, b) => a + Math.exp(b - maximum), 0);
    expectWithin([sample(large, { isa }).logprob], [-Math.log(sum)], "sample/logprob", isa);
    const penalized = sample([2, 1.5, -1], { isa, repetitionPenalty: 10, seen: [0], temperature: 0 });
    expect(penalized.ids).toEqual([1]);
    const raw = 1.5 - Math.log(Math.exp(2) + Math.exp(1.5) + Math.exp(-1));
    expectWithin([penalized.logprob], [raw], "sample/logprob", isa);
  });

  it.each(isas)("%s takes NaN for -inf and +inf for the largest; nothing left is ERR_NUMERIC", (isa) => {
    expect(sample([NaN, -3, NaN, -2], { isa })).toEqual({ ids: [3], logprob: expect.closeTo(-0.31326, 4) as number });
    expect(sample([NaN, 5, Infinity, NaN], { isa })).toEqual({ ids: [2], logprob: 0 });
    for (const values of [[NaN, NaN], [-Infinity], [NaN, -Infinity, NaN]]) {
      const failure = failureOf(() => sample(values, { isa }));
      expect(failure.code).toBe("ERR_NUMERIC");
      expect(failure.message).toBe(`sample: logits: all ${values.length} values are NaN or -inf`);
    }
    expect(new Set(sample([NaN, 1, -Infinity, 1], { isa, temperature: 1, seed: 3 }, 200).ids)).toEqual(new Set([1, 3]));
  });
});

describe("sample, drawn", () => {
  it.each(isas)("%s draws with the probabilities of the filters, each alone and together", (isa) => {
    const few = logits.slice(0, 12);
    for (const options of [
      {},
      { temperature: 0.5 },
      { temperature: 3 },
      { topK: 1 },
      { topK: 5 },
      { topK: 500 },
      { topP: 0.1 },
      { topP: 0.7 },
      { topP: 0.97 },
      { minP: 0.05 },
      { minP: 0.9 },
      { repetitionPenalty: 1.7, seen: [1, 4, 4, 4, 9] },
      { repetitionPenalty: 0.6, seen: [0, 11] },
      { temperature: 0.8, topK: 8, topP: 0.9, minP: 0.02, repetitionPenalty: 1.2, seen: [3, 5, 3] },
      { temperature: 2, topK: 9, topP: 0.6, minP: 0.3 },
    ] satisfies Options[])
      for (const values of [few, logits]) expectDistribution(values, { ...options, isa }, JSON.stringify(options));
  });

  it("top-k keeps ties with the k-th, as transformers does", () => {
    expectDistribution([1, 3, 3, 2, 3, 0], { topK: 2 }, "ties");
    expect(new Set(sample([1, 3, 3, 2, 3, 0], { temperature: 1, topK: 2, seed: 1 }, 300).ids)).toEqual(
      new Set([1, 2, 4]),
    );
  });

  it("selects the same from a large vocabulary by heap and by partition", () => {
    const large = Array.from(randomArray(49152, 7), (value) => value * 3);
    for (const topK of [1, 40, 256, 257, 3000]) {
      const expected = bruteForce(large, { topK, temperature: 0.7 });
      const ids = sample(large, { topK, temperature: 0.7, seed: topK }, 300).ids;
      expect(ids.every((id) => expected.has(id))).toBe(true);
    }
    for (const topP of [0.01, 0.3, 0.95]) {
      const expected = bruteForce(large, { topP, temperature: 0.3 });
      const ids = sample(large, { topP, temperature: 0.3, seed: 5 }, 300).ids;
      // the last of the nucleus depends on the rounding of the sum: it may differ by one rank
      expect(ids.filter((id) => !expected.has(id)).length).toBeLessThan(3);
    }
  });

  it("is decided by the seed", () => {
    const draw = (seed: number) => sample(logits, { temperature: 1, seed }, 50).ids;
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it("takes extreme temperatures", () => {
    expect(new Set(sample([1, 2, 1.5], { temperature: 1e-40, seed: 1 }, 50).ids)).toEqual(new Set([1]));
    expect(new Set(sample([1, 2, 1.5], { temperature: 1e30, seed: 1 }, 200).ids)).toEqual(new Set([0, 1, 2]));
    expect(
      new Set(sample([-1e38, 3e38, -3e38], { temperature: 1, seed: 1, repetitionPenalty: 1e30, seen: [0] }, 9).ids),
    ).toEqual(new Set([1]));
  });
});

describe("sample, most probable tokens", () => {
  it.each(isas)("%s lists them best first, with raw logprobs, whatever the options", (isa) => {
    const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
    const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
    for (const topCount of [1, 5, 97]) {
      const [topIds, topLogprobs] = [new Int32Array(topCount), new Float64Array(topCount)];
      const options = { temperature: 0.5, topK: 2, seed: 1, isa };
      binding.testing["sample"]!({
        ...options,
        logits: Float32Array.from(logits),
        vocab: 97,
        topIds,
        topLogprobs,
        topCount,
      });
      expect([...topIds]).toEqual(order.slice(0, topCount));
      const expected = order.slice(0, topCount).map((id) => Math.fround(logits[id]!) - Math.log(sum));
      expectWithin(topLogprobs, expected, "sample/logprob", isa);
    }
  });
});

describe("sample, wrong use", () => {
  it("refuses options and arguments by name", () => {
    const good = { logits: new Float32Array(4), vocab: 4, temperature: 1, seen: Int32Array.of(3), seenCount: 1 };
    const call = binding.testing["sample"]!;
    call(good);
    for (const [change, message] of [
      [{ temperature: -1 }, "sample: temperature: expected 0 or more, found -1"],
      [{ temperature: NaN }, "sample: temperature: expected 0 or more, found nan"],
      [{ temperature: Infinity }, "sample: temperature: expected 0 or more, found inf"],
      [{ topK: -1 }, "sample: top_k: expected 0 (off) or more, found -1"],
      [{ topP: 0 }, "sample: top_p: expected a value in (0, 1], found 0"],
      [{ topP: 1.5 }, "sample: top_p: expected a value in (0, 1], found 1.5"],
      [{ minP: 1 }, "sample: min_p: expected a value in [0, 1), found 1"],
      [{ repetitionPenalty: 0 }, "sample: repetition_penalty: expected more than 0, found 0"],
      [{ vocab: 0 }, "sample: vocab: expected 1 or more, found 0"],
      [{ logits: null }, "sample: logits: expected a pointer, found nullptr"],
      [{ seen: null }, "sample: seen: expected a pointer, found nullptr"],
      [{ seen: Int32Array.of(4) }, "sample: seen[0]: expected 0 to 3, found 4"],
      [{ noRng: true }, "sample: rng: expected a pointer, found nullptr"],
      [{ topCount: 1 }, "sample: top_ids: expected a pointer, found nullptr"],
    ] as const)
      expect(failureOf(() => call({ ...good, ...change }))).toEqual({ code: "ERR_ARGUMENT", message });
    const tooMany = failureOf(() =>
      call({ ...good, topCount: 5, topIds: new Int32Array(5), topLogprobs: new Float64Array(5) }),
    );
    expect(tooMany).toEqual({ code: "ERR_SHAPE", message: "sample: top_count: expected at most 4, found 5" });
  });
});
