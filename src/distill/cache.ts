// SPDX-License-Identifier: Apache-2.0
/**
 * cacheTeacherLogits: one forward pass of a teacher over a run's samples, whose largest logits are kept on the disk, so
 * that any number of students learn from them without the teacher.
 */
import { existsSync } from "node:fs";
import { statfs, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { throwIfAborted } from "../abort.js";
import { EspalierError } from "../errors.js";
import { makeDirectory, toWriteError, writeDirectoryResumably } from "../files/atomic-directory.js";
import { withOwnLock } from "../files/lock.js";
import { parseFields } from "../model/parse-fields.js";
import { resolveTrainOptions, type ResolvedTrainOptions, type TrainOptions } from "../train/config.js";
import type { TrainingData } from "../train/loop.js";
import { defaultParts, type DataProgress } from "../train/parts.js";
import { joinRanks } from "../train/ranks.js";
import {
  logitsUse,
  MANIFEST,
  TeacherLogits,
  recordBytes,
  totalBytes,
  totalSamples,
  type RecordLayout,
  type TeacherLogitsManifest,
  type TeacherLogitsPlan,
} from "../train/teacher-logits/index.js";
import { version } from "../version.js";
import { CacheWriter, signatureOf } from "./cache-writer.js";
import { openTeacherSource, type TeacherSource } from "./teacher-source.js";

export interface CacheOptions extends Omit<TrainOptions, "model" | "config" | "tokenizer" | "teacher" | "out"> {
  /** Model directory, GGUF file or engine directory. */
  teacher: string;
  /** Directory of the logits: made, or checked when it is there. */
  cacheTeacher: string;
  /** Largest logits kept of every token. Default: 128, or the whole vocabulary where that is smaller. */
  cacheTopK?: number;
  /** Bytes that the cache may take. Default: what is free. */
  cacheDisk?: number;
}

export type CacheProgress =
  | DataProgress
  /** Before anything is computed. */
  | ({ kind: "cachePlan" } & CachePlan)
  | { kind: "cacheResumed"; samples: number }
  /** Tokens done. */
  | { kind: "cache"; done: number; total: number; etaSeconds: number };

export interface CachePlan {
  directory: string;
  samples: number;
  validationSamples: number;
  seqLength: number;
  topK: number;
  bytes: number;
  freeBytes: number;
}

export interface CacheReport extends TeacherLogitsManifest {
  directory: string;
  bytes: number;
  /** The cache was there already, and fits. */
  reused: boolean;
  seconds: number;
}

export interface CacheHooks {
  signal?: AbortSignal;
  onProgress?: (progress: CacheProgress) => void;
}

export const DEFAULT_TOP_K = 128;
/** A shard is about so large, or holds one sample. */
const SHARD_BYTES = 256 << 20;

export const cacheFields = {
  cacheTeacher: z.string().min(1),
  cacheTopK: z.number().int().min(1).optional(),
  cacheDisk: z.number().min(0).optional(),
};
const ownSchema = z.object({ teacher: z.string().min(1), ...cacheFields });
type OwnOptions = z.output<typeof ownSchema>;

/**
 * Makes the directory that `cacheTeacher` names, for `train` with `teacherLogits`; what is there already is checked, with
 * `readAll` the checksum of every record as well. The samples are those that a run with the same options takes. Stopped or killed, the same call goes on and ends with the
 * same bytes. ERR_DISK_FULL before it starts when the logits do not fit; ERR_TEACHER_LOGITS; ERR_RUN_BUSY.
 *
 * @example
 * await cacheTeacherLogits({ teacher: "teacher", data: "corpus", steps: 400, cacheTeacher: "teacher-logits" });
 */
export async function cacheTeacherLogits(
  given: CacheOptions,
  hooks: CacheHooks = {},
  { readAll = true }: { readAll?: boolean } = {},
): Promise<CacheReport> {
  const started = performance.now();
  const own = parseFields(ownSchema, given, { code: "ERR_ARGUMENT", where: "distill" });
  const options = trainOptionsOf(given, own);
  const source = await openTeacherSource(own.teacher, options);
  try {
    const layout = layoutOf(own, options, source);
    const reused = existsSync(own.cacheTeacher);
    // The training samples alone, before an index of all of them is made.
    if (!reused) checkSpace(own, layout, options.steps * options.globalBatch, await freeBytesAt(own.cacheTeacher));
    const data = await defaultParts.openData(options, source.model, hooks);
    try {
      if (!reused) await make(own, options, source, data, hooks);
      const cache = await TeacherLogits.open(own.cacheTeacher);
      checkCache(cache, own, source);
      cache.join(data, await logitsUse(options, source.model, data), 1);
      if (reused && readAll) await cache.verify(hooks.signal);
      const { directory, manifest } = cache;
      const seconds = (performance.now() - started) / 1000;
      return { ...manifest, directory, bytes: totalBytes(manifest), reused, seconds };
    } finally {
      await data.close();
    }
  } finally {
    await source.close();
  }
}

/** The options of a run that takes the same samples: the teacher stands for its student. */
function trainOptionsOf(given: CacheOptions, { teacher, cacheTeacher }: OwnOptions): ResolvedTrainOptions {
  const { teacher: _teacher, cacheTeacher: _directory, cacheTopK: _topK, cacheDisk: _disk, ...shared } = given;
  return resolveTrainOptions({ ...shared, model: teacher, teacherLogits: cacheTeacher, out: cacheTeacher });
}

function checkCache({ directory, manifest }: TeacherLogits, { cacheTopK }: OwnOptions, source: TeacherSource): void {
  const { teacher, topK } = manifest;
  const refuse = (what: string): never => {
    throw new EspalierError("ERR_TEACHER_LOGITS", `${directory}: ${what}`);
  };
  if (teacher.fingerprint !== source.fingerprint)
    refuse(
      `teacher: the logits are those of ${teacher.name} (${teacher.fingerprint}), found ${source.name} (${source.fingerprint})`,
    );
  if (cacheTopK !== undefined && topK !== cacheTopK)
    refuse(`cacheTopK: ${topK} of each token are there, found ${cacheTopK}`);
}

async function make(
  own: OwnOptions,
  options: ResolvedTrainOptions,
  source: TeacherSource,
  data: TrainingData,
  hooks: CacheHooks,
): Promise<void> {
  if (joinRanks().size > 1)
    throw new EspalierError(
      "ERR_ARGUMENT",
      "distill: cacheTeacher: expected a cache that is there, found none: make it with one process first (--cache-only)",
    );
  const plan = await planOf(own, options, source, data);
  const place = resolve(own.cacheTeacher);
  const parent = dirname(place);
  await makeDirectory(parent).catch((error: unknown) => {
    throw toWriteError(error, own.cacheTeacher);
  });
  const busy = `${own.cacheTeacher}: another process makes this cache`;
  const { signal } = hooks;
  await withOwnLock(join(parent, `.${basename(place)}.espalier-lock`), { signal, busy }, () =>
    writeDirectoryResumably(own.cacheTeacher, (staging) => fill(staging, { own, options, source, data, plan, hooks }), {
      signal,
    }),
  );
}

function layoutOf({ cacheTopK }: OwnOptions, { seqLength }: ResolvedTrainOptions, source: TeacherSource): RecordLayout {
  const { vocabSize } = source.model.spec;
  const topK = cacheTopK ?? Math.min(DEFAULT_TOP_K, vocabSize);
  if (topK <= vocabSize) return { sequenceLength: seqLength, topK, vocabSize };
  throw new EspalierError(
    "ERR_ARGUMENT",
    `distill: cacheTopK: expected at most the vocabulary of ${vocabSize}, found ${topK}`,
  );
}

async function planOf(
  own: OwnOptions,
  options: ResolvedTrainOptions,
  source: TeacherSource,
  data: TrainingData,
): Promise<TeacherLogitsPlan> {
  const use = await logitsUse(options, source.model, data);
  const layout = layoutOf(own, options, source);
  return {
    format: 1,
    espalierVersion: version,
    teacher: { name: source.name, fingerprint: source.fingerprint, layers: source.model.spec.numLayers },
    ...layout,
    tokenizer: use.tokenizer,
    data: data.fingerprint,
    split: use.split,
    seed: use.seed,
    resetAttention: use.resetAttention,
    samples: use.samples,
    validationSamples: use.validationSamples,
    samplesPerShard: Math.max(1, Math.floor(SHARD_BYTES / recordBytes(layout))),
  };
}

interface Work {
  own: OwnOptions;
  options: ResolvedTrainOptions;
  source: TeacherSource;
  data: TrainingData;
  plan: TeacherLogitsPlan;
  hooks: CacheHooks;
}

async function fill(staging: string, work: Work): Promise<void> {
  const { own, plan, hooks } = work;
  const writer = await CacheWriter.open(staging, plan, signatureOf(plan, work.options));
  try {
    await tellPlan(staging, work, writer.samples);
    if (writer.samples > 0) hooks.onProgress?.({ kind: "cacheResumed", samples: writer.samples });
    await writeSamples(writer, work);
    const manifest: TeacherLogitsManifest = { ...plan, coverage: writer.coverage() };
    await writer.finish();
    await writeFile(join(staging, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
  } catch (error) {
    if (hooks.signal?.aborted === true) await writer.save();
    throw toWriteError(error, own.cacheTeacher);
  } finally {
    await writer.close();
  }
}

/** Says what the cache will take, and refuses what does not fit. */
async function tellPlan(staging: string, { own, plan, hooks }: Work, done: number): Promise<void> {
  const { samples, validationSamples, sequenceLength: seqLength, topK } = plan;
  const [bytes, freeBytes] = [totalBytes(plan), await freeBytesAt(staging)];
  const told = { directory: own.cacheTeacher, samples, validationSamples, seqLength, topK, bytes, freeBytes };
  hooks.onProgress?.({ kind: "cachePlan", ...told });
  checkSpace(own, plan, totalSamples(plan), freeBytes + done * recordBytes(plan));
}

function checkSpace(own: OwnOptions, layout: RecordLayout, samples: number, freeBytes: number): void {
  const { topK, sequenceLength } = layout;
  const bytes = samples * recordBytes(layout);
  const refuse = (limit: string): never => {
    throw new EspalierError(
      "ERR_DISK_FULL",
      `${own.cacheTeacher}: ${topK} logits of each of ${samples} x ${sequenceLength} tokens take ${megabytes(bytes)}, ${limit}`,
      {
        hint: "Keep fewer logits (--cache-top-k), take fewer steps or sequences, or name a directory on a larger disk.",
      },
    );
  };
  if (own.cacheDisk !== undefined && bytes > own.cacheDisk) refuse(`allowed are ${megabytes(own.cacheDisk)}`);
  if (bytes > freeBytes) refuse(`free are ${megabytes(freeBytes)}`);
}

const megabytes = (count: number): string => (count < 1e6 ? `${count} bytes` : `${(count / 1e6).toFixed(1)} MB`);

/** Where the path is, or will be. */
async function freeBytesAt(path: string): Promise<number> {
  for (let place = resolve(path); ; place = dirname(place)) {
    const found = await statfs(place).catch(() => null);
    if (found !== null) return found.bavail * found.bsize;
    if (dirname(place) === place) return Infinity;
  }
}

/** Batches are those of an undisturbed pass, wherever it goes on: the same bytes. */
async function writeSamples(writer: CacheWriter, { options, source, data, plan, hooks }: Work): Promise<void> {
  const { microBatch } = options;
  const { samples, topK, sequenceLength } = plan;
  const total = totalSamples(plan);
  const started = performance.now();
  const before = writer.samples;
  while (writer.samples < total) {
    throwIfAborted(hooks.signal);
    const at = writer.samples;
    const [split, begin, end] =
      at < samples ? [data.train, at, samples] : [data.validation!, at - samples, total - samples];
    const batch = await split.batch(begin, Math.min(microBatch, end - begin));
    await writer.append(batch, await source.topLogits(batch, topK));
    const done = writer.samples;
    const etaSeconds = ((performance.now() - started) / 1000 / (done - before)) * (total - done);
    hooks.onProgress?.({ kind: "cache", done: done * sequenceLength, total: total * sequenceLength, etaSeconds });
  }
}
