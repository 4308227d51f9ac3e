/**
 * One wave: `batch` requests of fresh random prompts handed in together, and the times of their tokens.
 */
import { throwIfAborted } from "../abort.js";
import type { KvCache } from "../engine/kv-cache.js";
import { EspalierError } from "../errors.js";
import type { RequestTimes } from "./timeline.js";
import type { ModelShape, PackedTensor } from "./work.js";

/** What the bench uses of engine.json. */
export interface BenchManifest {
  spec: ModelShape & { vocabSize: number; maxPositions: number };
  tensors: readonly PackedTensor[];
  weights: { sizeBytes: number };
  kvCache?: KvCache | undefined;
}

/** What the bench uses of an engine; `Engine` is one. */
export interface BenchEngine {
  readonly manifest: BenchManifest;
  request(request: WaveRequest, onEvent: (event: WaveEvent) => void): () => void;
  dispose(): Promise<void>;
}

/** The part of the native request that matters here: greedy, no end-of-sequence, nothing reused. */
export interface WaveRequest {
  kind: "generate";
  prompt: Int32Array;
  maxTokens: number;
  stopIds: Int32Array;
  reusePrefix: false;
  temperature: 0;
  seed: number;
}

export type WaveEvent =
  | { kind: "token"; atMs: number }
  | { kind: "done"; reason: string; reusedTokens: number }
  | { kind: "error"; error: unknown }
  | { kind: "logits" | "scores" };

export interface WaveOptions {
  isl: number;
  osl: number;
  batch: number;
  /** Uniform in [0, 1). */
  random: () => number;
  now: () => number;
  signal?: AbortSignal | undefined;
}

/** mulberry32: uniform in [0, 1), the same on every machine. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Token ids drawn evenly from the whole vocabulary. */
export function randomPrompt(tokens: number, vocabSize: number, random: () => number): Int32Array {
  return Int32Array.from({ length: tokens }, () => Math.floor(random() * vocabSize));
}

/** Runs a wave to its end. Rejects with the first error, after cancelling the other requests. */
export async function runWave(engine: BenchEngine, options: WaveOptions): Promise<RequestTimes[]> {
  throwIfAborted(options.signal);
  const prompts = Array.from({ length: options.batch }, () =>
    randomPrompt(options.isl, engine.manifest.spec.vocabSize, options.random),
  );
  const cancels: (() => void)[] = [];
  const cancelAll = (): void => cancels.forEach((cancel) => cancel());
  options.signal?.addEventListener("abort", cancelAll, { once: true });
  try {
    const started = options.now();
    const times = await Promise.all(
      prompts.map((prompt) => runRequest(engine, prompt, options, started, (cancel) => cancels.push(cancel))),
    );
    throwIfAborted(options.signal);
    return times;
  } catch (error) {
    cancelAll();
    throwIfAborted(options.signal);
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", cancelAll);
  }
}

function runRequest(
  engine: BenchEngine,
  prompt: Int32Array,
  options: WaveOptions,
  started: number,
  onStart: (cancel: () => void) => void,
): Promise<RequestTimes> {
  return new Promise((resolve, reject) => {
    const handedInMs = options.now() - started;
    const tokenMs: number[] = [];
    const cancel = engine.request(
      {
        kind: "generate",
        prompt,
        maxTokens: options.osl,
        stopIds: new Int32Array(0),
        reusePrefix: false,
        temperature: 0,
        seed: 0,
      },
      (event) => {
        if (event.kind === "token") tokenMs.push(handedInMs + event.atMs);
        if (event.kind === "error") reject(event.error as Error);
        if (event.kind !== "done") return;
        if (tokenMs.length === options.osl) resolve({ handedInMs, tokenMs });
        else reject(shortRequest(event.reason, options.osl, tokenMs.length));
      },
    );
    onStart(cancel);
  });
}

function shortRequest(reason: string, expected: number, found: number): EspalierError {
  return new EspalierError(
    "ERR_INTERNAL",
    `bench: expected ${expected} tokens of every request, found ${found} (it ended with "${reason}")`,
  );
}
