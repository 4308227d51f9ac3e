// SPDX-License-Identifier: Apache-2.0
/**
 * The sequences that importance is measured on.
 */
import { throwIfAborted } from "../abort.js";
import type { Checkpoint } from "../checkpoint/index.js";
import { openGptDataset } from "../data/index.js";
import { EspalierError } from "../errors.js";
import { tokenizerFingerprint } from "../tokenizer/index.js";
import { tokenizerOf } from "../train/parts.js";
import type { ResolvedImportanceOptions } from "./config.js";

export interface Samples {
  /** [samples, length] */
  tokens: Int32Array;
  labels: Int32Array;
  length: number;
  /** Of the data. */
  fingerprint: string;
}

const DEFAULT_LENGTH = 512;

/** Tokens of a sequence. ERR_ARGUMENT. */
export function lengthOf({ seqLength }: ResolvedImportanceOptions, { spec, path }: Checkpoint): number {
  const length = seqLength ?? Math.min(DEFAULT_LENGTH, spec.maxPositions);
  if (length <= spec.maxPositions) return length;
  throw new EspalierError(
    "ERR_ARGUMENT",
    `importance: seqLength: expected at most the ${spec.maxPositions} positions of ${path}, found ${length}`,
  );
}

export async function takeSamples(
  options: ResolvedImportanceOptions,
  model: Checkpoint,
  length: number,
  signal: AbortSignal | undefined,
  onIndexing: (done: number, total: number) => void,
): Promise<Samples> {
  const tokenizer = tokenizerOf(model);
  await using data = await openGptDataset({
    data: options.data,
    sequenceLength: length,
    split: options.split,
    seed: options.seed,
    samples: { train: options.samples, validation: 0, test: 0 },
    vocabSize: model.spec.vocabSize,
    ...(tokenizer === null ? {} : { tokenizerFingerprint: await tokenizerFingerprint(tokenizer) }),
    ...(signal === undefined ? {} : { signal }),
    onProgress: ({ done, total }) => onIndexing(done, total),
  });
  const tokens = new Int32Array(options.samples * length);
  const labels = new Int32Array(options.samples * length);
  for (let i = 0; i < options.samples; ++i) {
    if (i % 64 === 0) throwIfAborted(signal);
    const sample = await data.train.sample(i);
    tokens.set(sample.tokens, i * length);
    labels.set(sample.labels, i * length);
  }
  return { tokens, labels, length, fingerprint: data.fingerprint };
}
