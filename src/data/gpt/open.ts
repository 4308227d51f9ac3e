// SPDX-License-Identifier: Apache-2.0
/**
 * openGptDataset: opens token files, splits them by document, and makes or finds the indices of their samples.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { dirname, join } from "node:path";
import { throwIfAborted } from "../../abort.js";
import { EspalierError } from "../../errors.js";
import { WorkerClient } from "../../workers/client.js";
import { idxPath, IndexedDataset } from "../indexed-dataset/index.js";
import { readManifest, type DataManifest } from "../manifest.js";
import type { BlendEntry, DatasetSplits, DataTokenizer, GptDatasetOptions, SplitName, TokenDataset } from "../types.js";
import { BlendedDataset, GptDataset, type RowOptions } from "./gpt-dataset.js";
import { readCachedIndices, writeCachedIndices } from "./index-cache.js";
import { buildBlendIndices, checkSampleCount, planEpochs, type GptIndices, type IndexRequest } from "./indices.js";
import { resolveSources } from "./sources.js";
import { splitNames, splitRanges } from "./split.js";
import type { IndexOperations } from "./worker.js";

const DEFAULT_SPLIT = "99,1,0";
const DEFAULT_SEED = 1234;
/** Samples made beyond what a blend's weights call for, as Megatron does. */
const BLEND_SURPLUS = 0.005;

interface Source extends BlendEntry {
  data: IndexedDataset;
  manifest: DataManifest | null;
  /** "sha256:..." of the .idx. */
  hash: string;
}

interface Context {
  sources: readonly Source[];
  options: GptDatasetOptions;
  row: RowOptions;
  split: string;
  seed: number;
  /** What the fingerprint is made of. */
  identity: unknown[];
  /** Started when an index is not in the cache. */
  builder: () => WorkerClient<IndexOperations>;
  progress: (done: number) => void;
}

/**
 * Opens data for training. ERR_DATA_* when it is damaged, empty, too short or of another tokenizer.
 *
 * @example
 * await using splits = await openGptDataset({ data: "corpus", sequenceLength: 512, samples: { train: 3200 } });
 * const batch = await splits.train.batch(0, 8);
 */
export async function openGptDataset(options: GptDatasetOptions): Promise<DatasetSplits> {
  if (!(Number.isInteger(options.sequenceLength) && options.sequenceLength >= 1))
    throw new EspalierError("ERR_ARGUMENT", `sequenceLength: expected at least 1, found ${options.sequenceLength}`);
  const sources: Source[] = [];
  let client: WorkerClient<IndexOperations> | null = null;
  try {
    for (const entry of await resolveSources(options.data)) sources.push(await openSource(entry));
    const tokenizer = checkTokenizers(sources, options);
    let done = 0;
    const total = splitNames.length * sources.length;
    const context: Context = {
      sources,
      options,
      row: rowOptions(options, tokenizer),
      split: options.split ?? DEFAULT_SPLIT,
      seed: options.seed ?? DEFAULT_SEED,
      identity: [],
      builder: () =>
        (client ??= new WorkerClient<IndexOperations>(new URL("./worker.js", import.meta.url), "index builder")),
      progress: (count) => options.onProgress?.({ stage: "indexing", done: (done += count), total }),
    };
    const [train, validation, test] = await openSplits(context);
    if (train == null) throw nothingToTrainOn(context);
    return new OpenedSplits(train, validation ?? null, test ?? null, tokenizer, context);
  } catch (error) {
    await Promise.all(sources.map(({ data }) => data.close()));
    throw error;
  } finally {
    await (client as WorkerClient<IndexOperations> | null)?.close();
  }
}

class OpenedSplits implements DatasetSplits {
  readonly fingerprint: string;
  readonly #sources: readonly Source[];

  constructor(
    readonly train: TokenDataset,
    readonly validation: TokenDataset | null,
    readonly test: TokenDataset | null,
    readonly tokenizer: DataTokenizer | null,
    { sources, identity }: Context,
  ) {
    this.fingerprint = `sha256:${createHash("sha256").update(JSON.stringify(identity)).digest("hex")}`;
    this.#sources = sources;
  }

  async close(): Promise<void> {
    await Promise.all(this.#sources.map(({ data }) => data.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function openSource(entry: BlendEntry): Promise<Source> {
  const data = await IndexedDataset.open(entry.prefix);
  try {
    const manifest = await readManifest(entry.prefix);
    const hash = createHash("sha256");
    for await (const piece of createReadStream(idxPath(entry.prefix))) hash.update(piece as Buffer);
    return { ...entry, data, manifest, hash: `sha256:${hash.digest("hex")}` };
  } catch (error) {
    await data.close();
    throw error;
  }
}

/** What the sources agree on. */
function checkTokenizers(sources: readonly Source[], options: GptDatasetOptions): DataTokenizer | null {
  let common: DataTokenizer | null = null;
  for (const { manifest, prefix } of sources) {
    if (manifest === null) continue;
    const { tokenizer } = manifest;
    const expected = options.tokenizerFingerprint ?? common?.fingerprint ?? tokenizer.fingerprint;
    if (tokenizer.fingerprint !== expected)
      throw new EspalierError(
        "ERR_DATA_TOKENIZER",
        `${prefix}: expected tokens of tokenizer ${expected}, found ${tokenizer.fingerprint}`,
      );
    if (tokenizer.vocabSize > (options.vocabSize ?? Infinity))
      throw new EspalierError(
        "ERR_DATA_VOCABULARY",
        `${prefix}: its tokenizer has ${tokenizer.vocabSize} tokens, the model ${options.vocabSize}`,
      );
    common ??= tokenizer;
  }
  return common;
}

function rowOptions(options: GptDatasetOptions, tokenizer: DataTokenizer | null): RowOptions {
  const { sequenceLength, resetAttention = false, maskEod = false, vocabSize = Infinity } = options;
  const eodTokenId = options.eodTokenId ?? tokenizer?.eodTokenId ?? null;
  if (maskEod && eodTokenId === null)
    throw new EspalierError(
      "ERR_DATA_EOD",
      "maskEod: neither the data nor eodTokenId says which token ends a document",
    );
  return { sequenceLength, resetAttention, maskEod, eodTokenId, vocabSize };
}

async function openSplits(context: Context): Promise<(TokenDataset | null)[]> {
  const splits: (TokenDataset | null)[] = [];
  for (const split of splitNames) {
    throwIfAborted(context.options.signal);
    const samples = context.options.samples?.[split] ?? null;
    if (samples !== null && !(Number.isInteger(samples) && samples >= 0))
      throw new EspalierError("ERR_ARGUMENT", `samples.${split}: expected a whole number, found ${samples}`);
    if (samples !== null) checkSampleCount(`samples.${split}`, samples);
    const open = context.sources.length === 1 ? openOne : openBlend;
    splits.push(samples === 0 ? null : await open(context, split, samples));
    context.progress(context.sources.length);
  }
  return splits;
}

async function openOne(context: Context, split: SplitName, samples: number | null): Promise<TokenDataset | null> {
  return openPart(context, context.sources[0]!, split, samples);
}

async function openBlend(context: Context, split: SplitName, samples: number | null): Promise<TokenDataset | null> {
  const { sources, row } = context;
  if (samples === null && split === "train")
    throw new EspalierError("ERR_ARGUMENT", "samples.train: expected a number with a blend, found none");
  samples ??= onePassOfBlend(context, split);
  if (samples === 0) return null;
  const targets = sources.map(({ weight }) => Math.ceil(samples * weight));
  const sum = sources.reduce((total, { weight }) => total + weight, 0); // 1 but for rounding: Megatron divides twice
  const weights = sources.map(({ weight }) => weight / sum);
  const blend = buildBlendIndices(
    weights,
    targets.reduce((total, target) => total + target, 0),
  );
  const taken = new Uint32Array(sources.length);
  for (const source of blend.datasetIndex) taken[source]! += 1;
  const parts: GptDataset[] = [];
  for (const [i, source] of sources.entries()) {
    const wanted = Math.max(Math.ceil(targets[i]! * (1 + BLEND_SURPLUS)), taken[i]!);
    const part = await openPart(context, source, split, wanted);
    if (part === null && split !== "train") return null;
    if (part === null) throw nothingToTrainOn(context);
    parts.push(part);
  }
  context.identity.push(split, weights);
  return new BlendedDataset(split, parts, blend, row);
}

/** Samples of the weighted blend before the first source has to repeat; 0 when one of them has none. */
function onePassOfBlend({ sources, options, row }: Context, split: SplitName): number {
  const limits = sources.map(({ data, weight }) => {
    const [begin, end] = splitRanges(options.split ?? DEFAULT_SPLIT, data.sequenceCount)[split];
    const tokens = data.lengths.subarray(begin, end).reduce((sum, length) => sum + length, 0);
    return Math.floor((tokens - 1) / row.sequenceLength / weight);
  });
  return Math.max(0, Math.min(...limits));
}

/** null when the split leaves this source no documents, or too few tokens and nobody asked for a number. */
async function openPart(
  context: Context,
  source: Source,
  split: SplitName,
  samples: number | null,
): Promise<GptDataset | null> {
  const { row, seed } = context;
  const { data } = source;
  if (data.tokens === 0) throw new EspalierError("ERR_DATA_EMPTY", `${source.prefix}: it holds no tokens`);
  const [begin, end] = splitRanges(context.split, data.sequenceCount)[split];
  if (begin === end) return null;
  const lengths = data.lengths.slice(begin, end);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  if (tokens < row.sequenceLength + 1) {
    if (samples === null && split !== "train") return null;
    throw new EspalierError(
      "ERR_DATA_SHORT",
      `${source.prefix}: the ${split} split has ${tokens} tokens in ${end - begin} documents, a sample takes ` +
        `${row.sequenceLength + 1}`,
    );
  }
  const request: IndexRequest = { lengths, firstDocument: begin, sequenceLength: row.sequenceLength, seed, samples };
  const { epochs, samplesBeforeLast } = planEpochs(request);
  context.identity.push(split, source.hash, begin, end, row.sequenceLength, seed, epochs, samplesBeforeLast);
  return new GptDataset(split, data, await indicesOf(context, source, split, request), row);
}

async function indicesOf(
  context: Context,
  source: Source,
  split: SplitName,
  request: IndexRequest,
): Promise<GptIndices> {
  const { cacheDirectory } = context.options;
  const directory = cacheDirectory === undefined ? join(dirname(source.prefix), "cache") : cacheDirectory;
  const key = directory === null ? null : { directory, split, data: source.hash, request };
  const cached = key === null ? null : await readCachedIndices(key);
  if (cached !== null) return cached;
  const indices = await context.builder().call("build", request);
  if (key !== null) await writeCachedIndices(key, indices);
  return indices;
}

function nothingToTrainOn({ sources, split }: Context): EspalierError {
  const found = sources.map(({ prefix, data }) => `${prefix} has ${data.sequenceCount} documents`).join("; ");
  return new EspalierError("ERR_DATA_EMPTY", `the split "${split}" leaves no documents for training: ${found}`);
}
