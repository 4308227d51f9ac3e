import { randomPrompt, runWave, seededRandom } from "../../../src/bench/wave.js";
import { fakeEngine } from "./fake-engine.js";

const options = { isl: 8, osl: 3, batch: 2, random: seededRandom(1), now: () => 0 };

describe("prompts", () => {
  it("are fresh, from the whole vocabulary, and the same for the same seed", () => {
    const random = seededRandom(7);
    const first = randomPrompt(5000, 100, random);
    const second = randomPrompt(5000, 100, random);
    expect(first).not.toEqual(second);
    expect(randomPrompt(5000, 100, seededRandom(7))).toEqual(first);
    expect(new Set(first).size).toBe(100);
    expect(Math.max(...first)).toBe(99);
    expect(Math.min(...first)).toBe(0);
  });
});

describe("runWave", () => {
  it("adds when a request was handed in to its token times", async () => {
    let clock = 0;
    const times = await runWave(fakeEngine(10, 2), { ...options, now: () => clock++ });
    expect(times).toEqual([
      { handedInMs: 1, tokenMs: [11, 13, 15] },
      { handedInMs: 2, tokenMs: [12, 14, 16] },
    ]);
  });

  it("never gives the same prompt twice", async () => {
    const engine = fakeEngine(1, 1);
    for (let wave = 0; wave < 3; ++wave) await runWave(engine, options);
    expect(new Set(engine.prompts.map(String)).size).toBe(6);
  });

  it("refuses a request that ends early", async () => {
    const engine = fakeEngine(1, 1);
    const short = {
      ...engine,
      request: ((request, onEvent) => engine.request({ ...request, maxTokens: 2 }, onEvent)) as typeof engine.request,
    };
    await expect(runWave(short, options)).rejects.toMatchObject({ code: "ERR_INTERNAL" });
  });

  it("stops by its signal", async () => {
    const stop = new AbortController();
    const wave = runWave(fakeEngine(1, 1), { ...options, signal: stop.signal });
    stop.abort();
    await expect(wave).rejects.toMatchObject({ code: "ERR_ABORTED" });
    await expect(runWave(fakeEngine(1, 1), { ...options, signal: stop.signal })).rejects.toMatchObject({
      code: "ERR_ABORTED",
    });
  });
});
