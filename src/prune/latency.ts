// SPDX-License-Identifier: Apache-2.0
/**
 * How long a shape takes for a decode token on this machine: an engine with random weights is built and benched. The time
 * does not depend on what the weights are.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { throwIfAborted } from "../abort.js";
import { bench } from "../bench/index.js";
import { assemble, exportHuggingFace, OpenFiles } from "../checkpoint/index.js";
import { buildEngine } from "../engine/index.js";
import { configFromSpec } from "../model/hf-config.js";
import type { ModelSpec } from "../model/spec.js";
import { pruneError, type ResolvedPruneOptions } from "./config.js";

const REPEATS = 7;
const CEILING_SECONDS = 0.01; // not asked for, but a bench measures it
const PIECE_VALUES = 1 << 18;

type LatencyOptions = Pick<ResolvedPruneOptions, "budgetIsl" | "budgetOsl" | "budgetBatch" | "budgetWeights">;

export interface MeasuredLatency {
  latencyMs: number;
  /** Others used more than 5 % of the machine in every attempt; null: it cannot be known. */
  disturbed: boolean | null;
}

/**
 * Milliseconds between tokens, after a prompt of `budgetIsl` tokens: the least of several repeats, which other work on the
 * machine disturbs least. Files are kept while it runs only.
 */
export async function measureDecode(
  spec: ModelSpec,
  options: LatencyOptions,
  signal?: AbortSignal,
): Promise<MeasuredLatency> {
  const { budgetIsl = 128, budgetOsl = 32, budgetBatch = 1, budgetWeights = "f32" } = options;
  if (budgetIsl + budgetOsl > spec.maxPositions)
    throw pruneError(
      `budgetIsl, budgetOsl: expected at most the model's ${spec.maxPositions} positions together, found ${budgetIsl + budgetOsl}`,
    );
  const directory = await mkdtemp(join(tmpdir(), "espalier-latency-"));
  const more = signal === undefined ? {} : { signal };
  try {
    const model = await writeRandomModel(spec, join(directory, "model"), signal);
    const engine = join(directory, "engine");
    await buildEngine(model, engine, { weights: budgetWeights, ...more });
    const shape = { isl: [budgetIsl], osl: [budgetOsl], batch: [budgetBatch], repeats: REPEATS };
    const [cell] = await bench(engine, { ...shape, ceilingSeconds: CEILING_SECONDS, ceilingBufferMB: 1, ...more });
    return { latencyMs: cell?.spread.tpotMs?.min ?? NaN, disturbed: cell?.disturbed ?? null };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function writeRandomModel(spec: ModelSpec, path: string, signal: AbortSignal | undefined): Promise<string> {
  const config = configFromSpec(spec, "float16");
  const source = { format: "safetensors" as const, path, spec, config, tensors: new Map(), tokenizerFiles: {} };
  await exportHuggingFace(assemble(source, new OpenFiles()), path, {
    dtype: "f16",
    pieces: ({ shape }) =>
      randomPieces(
        shape.reduce((product, size) => product * size, 1),
        signal,
      ),
    ...(signal === undefined ? {} : { signal }),
  });
  return path;
}

/** f16 values from ±0.0078 to ±0.031, the same for every tensor: signs and mantissas of a congruential generator. */
const randomBlock = ((): Uint16Array => {
  let state = 1;
  return Uint16Array.from({ length: PIECE_VALUES }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 16) & 0x83ff) | (0x2000 + ((state >>> 5) & 0x0400));
  });
})();

async function* randomPieces(count: number, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < count; done += PIECE_VALUES) {
    throwIfAborted(signal);
    yield new Uint8Array(randomBlock.buffer, 0, 2 * Math.min(PIECE_VALUES, count - done));
  }
}
