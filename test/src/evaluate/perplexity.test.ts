import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { evaluatePerplexity, type ScoringEngine } from "../../../src/evaluate/index.js";

/** Gives token t the log-probability -(t + 1) / 10 wherever it stands, and remembers what it was asked. */
function fakeEngine(overrides: Partial<ScoringEngine> = {}): ScoringEngine & { asked: number[][]; most: number } {
  const engine = {
    directory: "fake",
    contextTokens: 64,
    asked: [] as number[][],
    open: 0,
    most: 0,
    tokenizer: { encode: (text: string) => Array.from(text, (_, index) => index % 7) },
    async score(ids: ArrayLike<number>): Promise<Float64Array> {
      engine.asked.push(Array.from(ids));
      engine.most = Math.max(engine.most, (engine.open += 1));
      await new Promise((resolve) => setImmediate(resolve));
      engine.open -= 1;
      return Float64Array.from(Array.from(ids).slice(1), (id) => -(id + 1) / 10);
    },
    ...overrides,
  };
  return engine;
}

async function code(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "none",
    (error: { code: string }) => error.code,
  );
}

const ids = Array.from({ length: 100 }, (_, index) => (index * 5) % 11);

function expected(tokens: number[]): number {
  return tokens.reduce((sum, id) => sum + (id + 1) / 10, 0) / tokens.length;
}

describe("evaluatePerplexity", () => {
  it("refuses scores that are no numbers", async () => {
    const score = (given: ArrayLike<number>) => Promise.resolve(new Float64Array(given.length - 1).fill(NaN));
    expect(await code(evaluatePerplexity(fakeEngine({ score }), { ids, window: 16 }))).toBe("ERR_NUMERIC");
  });

  it("gives bits per byte of a text, whatever part of it was measured", async () => {
    const text = "é".repeat(100); // 100 tokens, 200 bytes
    for (const maxTokens of [100, 40]) {
      const { nll, bitsPerByte } = await evaluatePerplexity(fakeEngine(), { text, window: 16, maxTokens });
      expect(bitsPerByte).toBeCloseTo(nll / Math.LN2 / 2, 12);
    }
  });

  it("is exp of the mean over all predicted tokens, first tokens of windows left out", async () => {
    const engine = fakeEngine();
    const report = await evaluatePerplexity(engine, { ids, window: 16 });
    const predicted = ids.slice(0, 96).filter((_, index) => index % 16 !== 0);
    expect(report).toEqual({
      perplexity: Math.exp(report.nll),
      nll: report.nll,
      bitsPerByte: null,
      tokens: 90,
      windows: 6,
      window: 16,
      stride: 16,
    });
    expect(report.nll).toBeCloseTo(expected(predicted), 12);
    expect(engine.asked.every((window) => window.length === 16)).toBe(true);
    expect(engine.most).toBeGreaterThan(1);
  });

  it("counts a token once with a stride", async () => {
    const report = await evaluatePerplexity(fakeEngine(), { ids, window: 16, stride: 4 });
    expect(report.tokens).toBe(99);
    expect(report.nll).toBeCloseTo(expected(ids.slice(1)), 12);
  });

  it("takes the first tokens of a text or a file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "espalier-"));
    try {
      const file = join(folder, "text.txt");
      await writeFile(file, "x".repeat(90));
      const fromFile = await evaluatePerplexity(fakeEngine(), { file, window: 8, maxTokens: 50 });
      const fromText = await evaluatePerplexity(fakeEngine(), { text: "x".repeat(50), window: 8 });
      expect(fromFile).toEqual(fromText);
      expect(fromFile.windows).toBe(6);
      await writeFile(file, Uint8Array.from([0x61, 0xff, 0xfe]));
      expect(await code(evaluatePerplexity(fakeEngine(), { file, window: 8 }))).toBe("ERR_FILE_READ");
      expect(await code(evaluatePerplexity(fakeEngine(), { file: folder, window: 8 }))).toBe("ERR_FILE_READ");
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("refuses what cannot be measured", async () => {
    const engine = fakeEngine();
    expect(await code(evaluatePerplexity(engine, { ids, window: 65 }))).toBe("ERR_CONTEXT_LENGTH");
    expect(await code(evaluatePerplexity(engine, { ids: [1, 2], window: 16 }))).toBe("ERR_TEXT_TOO_SHORT");
    expect(await code(evaluatePerplexity(engine, { window: 16 }))).toBe("ERR_ARGUMENT");
    expect(await code(evaluatePerplexity(engine, { ids, text: "a", window: 16 }))).toBe("ERR_ARGUMENT");
    expect(await code(evaluatePerplexity(engine, { ids, window: 16, maxTokens: 0 }))).toBe("ERR_ARGUMENT");
    expect(await code(evaluatePerplexity(fakeEngine({ tokenizer: null }), { text: "a", window: 16 }))).toBe(
      "ERR_TOKENIZER_MISSING",
    );
    expect(await code(evaluatePerplexity(engine, { file: "/nowhere/at/all", window: 16 }))).toBe("ERR_FILE_READ");
  });

  it("reports progress, stops by its signal, and passes errors on", async () => {
    const seen: number[] = [];
    const stop = new AbortController();
    const onProgress = ({ done, total }: { done: number; total: number }): void => {
      seen.push(done / total);
      if (done === 3) stop.abort();
    };
    expect(await code(evaluatePerplexity(fakeEngine(), { ids, window: 10, onProgress, signal: stop.signal }))).toBe(
      "ERR_ABORTED",
    );
    expect(seen).toEqual([0.1, 0.2, 0.3]);
    const broken = fakeEngine({
      score: () => Promise.reject(Object.assign(new Error("bad"), { code: "ERR_NUMERIC" })),
    });
    expect(await code(evaluatePerplexity(broken, { ids, window: 10 }))).toBe("ERR_NUMERIC");
  });
});
