// SPDX-License-Identifier: Apache-2.0
/**
 * Which tokens make which sample: Megatron's document, sample and shuffle indices, and its order of blends. Its
 * "documents" here are the sequences of the .idx.
 */
import { EspalierError } from "../../errors.js";
import { usableMemoryBytes } from "../../memory.js";
import { NumpyRandomState } from "../numpy-random.js";

/** Samples overlap by the token that is only a label. */
const EXTRA_TOKENS = 1;
/** A last epoch that gives less than this part of its samples is shuffled apart. */
const SEPARATE_BELOW = 0.8;
const MAX_INDEX = 2 ** 31 - 1;

export interface GptIndices {
  /** [epochs * documents] */
  documentIndex: Int32Array;
  /** [(samples + 1) * 2] Position in documentIndex and offset in that document where each sample begins. */
  sampleIndex: Int32Array;
  /** [samples] */
  shuffleIndex: Uint32Array;
}

export interface IndexRequest {
  /** [documents of the split] Tokens of each. */
  lengths: Int32Array;
  /** Number of the split's first document. */
  firstDocument: number;
  sequenceLength: number;
  seed: number;
  /** At least so many; null: one epoch. */
  samples: number | null;
}

export interface EpochPlan {
  tokensPerEpoch: number;
  epochs: number;
  /** Samples before the last epoch when that one is shuffled apart. */
  samplesBeforeLast: number | null;
}

/** The split must hold sequenceLength + 1 tokens. */
export function buildGptIndices(request: IndexRequest): GptIndices {
  const plan = planEpochs(request);
  const random = new NumpyRandomState(request.seed);
  const documentIndex = buildDocumentIndex(request, plan, random);
  const sampleIndex = buildSampleIndex(request, plan, documentIndex);
  const shuffleIndex = buildShuffleIndex(sampleIndex.length / 2 - 1, plan.samplesBeforeLast, random);
  return { documentIndex, sampleIndex, shuffleIndex };
}

/** Of the sample and shuffle indices. */
const INDEX_BYTES_PER_SAMPLE = 12;

/** ERR_ARGUMENT when the indices of so many samples would take more than a quarter of the memory. */
export function checkSampleCount(name: string, samples: number): void {
  const most = Math.floor(usableMemoryBytes() / 4 / INDEX_BYTES_PER_SAMPLE);
  if (samples > most)
    throw new EspalierError(
      "ERR_ARGUMENT",
      `${name}: expected at most ${most} samples, whose indices fill a quarter of the memory, found ${samples}`,
    );
}

/** How often the documents are gone through, and how the passes are shuffled. */
export function planEpochs({ lengths, sequenceLength, samples }: IndexRequest): EpochPlan {
  const tokensPerEpoch = lengths.reduce((sum, length) => sum + length, 0);
  if (tokensPerEpoch < sequenceLength + EXTRA_TOKENS)
    throw new EspalierError("ERR_INTERNAL", `${tokensPerEpoch} tokens make no sample of ${sequenceLength}`);
  const wanted = (samples ?? 0) * sequenceLength + EXTRA_TOKENS;
  const epochs = samples === null ? 1 : Math.max(1, Math.ceil(wanted / tokensPerEpoch));
  if (samples === null || epochs === 1) return { tokensPerEpoch, epochs, samplesBeforeLast: null };
  const before = Math.floor(((epochs - 1) * tokensPerEpoch - EXTRA_TOKENS) / sequenceLength);
  const perEpoch = Math.floor((tokensPerEpoch - EXTRA_TOKENS) / sequenceLength);
  const separate = samples - before < Math.trunc(SEPARATE_BELOW * perEpoch);
  return { tokensPerEpoch, epochs, samplesBeforeLast: separate ? before : null };
}

function buildDocumentIndex(request: IndexRequest, plan: EpochPlan, random: NumpyRandomState): Int32Array {
  const documents = request.lengths.length;
  if (plan.epochs * documents > MAX_INDEX)
    throw new EspalierError(
      "ERR_ARGUMENT",
      `samples: ${plan.epochs} passes over ${documents} documents are more than ${MAX_INDEX}`,
    );
  const index = new Int32Array(plan.epochs * documents);
  for (let i = 0; i < index.length; ++i) index[i] = request.firstDocument + (i % documents);
  const together = plan.samplesBeforeLast === null ? index.length : index.length - documents;
  random.shuffle(index.subarray(0, together));
  random.shuffle(index.subarray(together));
  return index;
}

/** Walks the documents in their order, sequenceLength + 1 tokens a sample, the last of which begins the next one. */
function buildSampleIndex(
  { lengths, firstDocument, sequenceLength }: IndexRequest,
  { tokensPerEpoch, epochs }: EpochPlan,
  documentIndex: Int32Array,
): Int32Array {
  const samples = Math.floor((epochs * tokensPerEpoch - EXTRA_TOKENS) / sequenceLength);
  const index = new Int32Array(2 * (samples + 1));
  let [position, offset] = [0, 0];
  for (let sample = 1; sample <= samples; ++sample) {
    let needed = sequenceLength + EXTRA_TOKENS;
    for (;;) {
      const rest = lengths[documentIndex[position]! - firstDocument]! - offset;
      if (rest >= needed) break;
      needed -= rest;
      position += 1;
      offset = 0;
    }
    offset += needed - EXTRA_TOKENS;
    index[2 * sample] = position;
    index[2 * sample + 1] = offset;
  }
  return index;
}

function buildShuffleIndex(samples: number, apart: number | null, random: NumpyRandomState): Uint32Array {
  const index = Uint32Array.from({ length: samples }, (_, i) => i);
  random.shuffle(index.subarray(0, apart ?? samples));
  if (apart !== null) random.shuffle(index.subarray(apart));
  return index;
}

export interface BlendIndices {
  /** [samples] Which data set. */
  datasetIndex: Uint16Array;
  /** [samples] Which of its samples. */
  datasetSampleIndex: Uint32Array;
}

/** Every sample comes from the data set that lags furthest behind its weight. `weights` sum to 1. */
export function buildBlendIndices(weights: readonly number[], samples: number): BlendIndices {
  const taken = new Float64Array(weights.length);
  const datasetIndex = new Uint16Array(samples);
  const datasetSampleIndex = new Uint32Array(samples);
  for (let sample = 0; sample < samples; ++sample) {
    let [chosen, largest] = [0, -Infinity];
    for (let i = 0; i < weights.length; ++i) {
      const lag = weights[i]! * Math.max(sample, 1) - taken[i]!;
      if (lag > largest) [chosen, largest] = [i, lag];
    }
    datasetIndex[sample] = chosen;
    datasetSampleIndex[sample] = taken[chosen]!;
    taken[chosen]! += 1;
  }
  return { datasetIndex, datasetSampleIndex };
}
