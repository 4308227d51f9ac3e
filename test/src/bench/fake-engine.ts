/** An engine and a world for the bench whose clock only moves when a wave runs. */
import type { Ceilings } from "../../../src/binding.js";
import type { BenchWorld } from "../../../src/bench/cell.js";
import type { BenchEngine, BenchManifest, WaveEvent, WaveRequest } from "../../../src/bench/wave.js";

export const manifest: BenchManifest = {
  spec: {
    numLayers: 2,
    numHeads: 4,
    numKvHeads: 2,
    headDim: 8,
    tieWordEmbeddings: false,
    vocabSize: 100,
    maxPositions: 256,
  },
  weights: { sizeBytes: 8_000_000 },
  tensors: [
    { role: "embed_tokens", part: "weight", format: "int8-w8a8", n: 100, k: 32, sizeBytes: 3200 },
    { role: "q_proj", part: "weight", format: "int8-w8a8", n: 1000, k: 1000, sizeBytes: 1_000_000 },
    { role: "lm_head", part: "weight", format: "int8-w8a8", n: 100, k: 1000, sizeBytes: 100_000 },
  ],
};

const ceilings: Ceilings = {
  isa: "avx2",
  threads: 2,
  bufferMB: 256,
  readGBps: 20,
  copyGBps: 30,
  f32Gflops: 100,
  bf16Gflops: 200,
  int8Gops: 400,
};

export interface FakeEngine extends BenchEngine {
  prompts: Int32Array[];
  disposed: number;
}

/** First token after `ttftMs`, then one every `tpotMs`. */
export function fakeEngine(
  ttftMs: number,
  tpotMs: number,
  change: (event: WaveEvent) => WaveEvent = (e) => e,
): FakeEngine {
  const engine: FakeEngine = {
    manifest,
    prompts: [],
    disposed: 0,
    request(request: WaveRequest, onEvent) {
      engine.prompts.push(request.prompt);
      let cancelled = false;
      setImmediate(() => {
        for (let token = 0; token < request.maxTokens && !cancelled; ++token)
          onEvent(change({ kind: "token", atMs: ttftMs + token * tpotMs }));
        onEvent({ kind: "done", reason: cancelled ? "cancelled" : "length", reusedTokens: 0 });
      });
      return () => (cancelled = true);
    },
    dispose: () => Promise.resolve(void (engine.disposed += 1)),
  };
  return engine;
}

/** A quiet machine; `foreign` gives the foreign share of each attempt. */
export function fakeWorld(
  engines: Record<string, () => FakeEngine>,
  repeats: number,
  foreign: number[] = [0],
): BenchWorld & { log: string[]; reruns: number; loads: unknown[] } {
  let reads = 0;
  const ticks = { busy: 0, total: 0, own: 0 };
  const world = {
    log: [] as string[],
    loads: [] as unknown[],
    reruns: 0,
    load: (directory: string, limits: unknown) => {
      world.loads.push(limits);
      return Promise.resolve((engines[directory] as () => FakeEngine)());
    },
    measureCeilings: () => Promise.resolve(ceilings),
    now: () => 0,
    // Every second read ends a wave that took 100 ticks, all of them busy.
    readTicks: () => {
      if (reads++ % 2 === 1) {
        const share = foreign[Math.min(Math.floor((reads / 2 - 1) / repeats), foreign.length - 1)] as number;
        ticks.total += 100;
        ticks.busy += 100;
        ticks.own += 100 * (1 - share);
      }
      return { ...ticks };
    },
    random: () => 0.5,
    onWave: (directory: string) => void world.log.push(directory),
    onRerun: (waves: number) => void (world.reruns += waves),
    signal: undefined,
  };
  return world;
}
