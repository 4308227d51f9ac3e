// SPDX-License-Identifier: Apache-2.0
/**
 * The loss without each block of consecutive layers, on tokens the model predicts.
 */
import { createHash } from "node:crypto";
import { throwIfAborted } from "../abort.js";
import { binding, type IsaName } from "../binding.js";
import type { Checkpoint } from "../checkpoint/index.js";
import { toEspalierError } from "../errors.js";
import { trainerModel } from "../train/model-source.js";
import type { NativeTrainer } from "../train/native-trainer.js";
import type { Journal } from "./journal.js";

export interface LayerLossOptions {
  model: Checkpoint;
  fingerprint: string;
  /** [samples, length] */
  tokens: Int32Array;
  labels: Int32Array;
  length: number;
  /** Sizes of blocks. */
  sizes: readonly number[];
  batchSize: number;
  journal: Journal;
  threads: number;
  isa: IsaName | "auto";
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface LayerLosses {
  /** Mean cross-entropy of the whole model, nats a token. */
  whole: number;
  /** The same without layers [i, i + size), for every i. */
  without: { size: number; losses: number[] }[];
}

export async function measureLayerLosses(options: LayerLossOptions): Promise<LayerLosses> {
  const { model, sizes } = options;
  const { numLayers } = model.spec;
  const starts = (size: number): number[] => Array.from({ length: numLayers - size + 1 }, (_, i) => i);
  const total = 1 + sizes.reduce((sum, size) => sum + starts(size).length, 0);
  const trainer = open(options);
  const signature = signatureOf(options);
  let done = 0;
  const measure = async (begin: number, end: number): Promise<number> => {
    const { loss } = await options.journal.once(`loss ${signature} ${begin}-${end}`, async () => ({
      loss: await lossWithout(trainer, options, begin, end),
    }));
    options.onProgress?.((done += 1), total);
    return loss!;
  };
  try {
    const whole = await measure(0, 0);
    const without: LayerLosses["without"] = [];
    for (const size of sizes) {
      const losses: number[] = [];
      for (const begin of starts(size)) losses.push(await measure(begin, begin + size));
      without.push({ size, losses });
    }
    return { whole, without };
  } catch (error) {
    throw toEspalierError(error);
  } finally {
    await trainer.close();
  }
}

/** Of all that a loss depends on but the layers. */
function signatureOf({ fingerprint, length, tokens, labels }: LayerLossOptions): string {
  const hash = createHash("sha256").update(JSON.stringify([fingerprint, length]));
  for (const ids of [tokens, labels]) hash.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  return hash.digest("hex").slice(0, 32);
}

function open({ model, length, batchSize, threads, isa }: LayerLossOptions): NativeTrainer {
  try {
    return new binding.NativeTrainer({
      model: trainerModel(model),
      losses: [{ kind: "cross_entropy", weight: 1 }],
      maxSequences: batchSize,
      sequenceLength: length,
      activationCheckpointing: false,
      activationDtype: "f32",
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      frozen: [],
      forwardOnly: true,
      initSeed: 0,
      initStd: 0,
      threads,
      isa,
    });
  } catch (error) {
    throw toEspalierError(error);
  }
}

async function lossWithout(
  trainer: NativeTrainer,
  { tokens, labels, length, batchSize, signal }: LayerLossOptions,
  skipBegin: number,
  skipEnd: number,
): Promise<number> {
  let sum = 0;
  let count = 0;
  for (let first = 0; first < tokens.length; first += batchSize * length) {
    throwIfAborted(signal);
    const [part, partLabels] = [tokens, labels].map((ids) => ids.subarray(first, first + batchSize * length));
    const sequences = part!.length / length;
    const batch = { sequences, length, tokens: part!, labels: partLabels!, skipBegin, skipEnd };
    const { tokens: predicted, sums } = await trainer.evaluate(batch);
    sum += sums["total"]!;
    count += predicted;
  }
  return sum / count;
}
