import { evaluatePerplexity } from "../../../src/evaluate/index.js";
import { loadTiny, someIds } from "../engine/fixtures.js";

/** Sum of -log softmax(logits)[id] of ids[1..], in float64, by the definition. */
function nllOf(logits: Float32Array[], ids: number[]): number {
  let sum = 0;
  for (let at = 1; at < ids.length; ++at) {
    const row = Array.from(logits[at - 1] as Float32Array);
    const top = Math.max(...row);
    const total = row.reduce((acc, value) => acc + Math.exp(value - top), 0);
    sum += Math.log(total) + top - (row[ids[at] as number] as number);
  }
  return sum;
}

describe("perplexity of a real engine", () => {
  it("is what its logits say", async () => {
    await using engine = await loadTiny("plain-v4");
    const window = 16;
    const ids = someIds(100, engine.spec.vocabSize);
    let sum = 0;
    for (let begin = 0; begin + window <= ids.length; begin += window) {
      const part = ids.slice(begin, begin + window);
      sum += nllOf(await engine.logits(part, { all: true }), part);
    }
    const report = await evaluatePerplexity(engine, { ids, window });
    expect(report).toMatchObject({ tokens: 90, windows: 6 });
    expect(report.nll).toBeCloseTo(sum / 90, 5);
    expect(report.perplexity).toBeCloseTo(Math.exp(sum / 90), 3);
  });

  it("passes the engine's errors on", async () => {
    await using engine = await loadTiny("plain-v4");
    const ids = [...someIds(15, engine.spec.vocabSize), engine.spec.vocabSize];
    await expect(evaluatePerplexity(engine, { ids, window: 16 })).rejects.toMatchObject({ code: "ERR_TOKEN_ID" });
  });
});
