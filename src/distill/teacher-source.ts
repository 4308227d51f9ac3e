// SPDX-License-Identifier: Apache-2.0
/**
 * Where a teacher's logits come from: a model in any format, or an engine, however its weights are packed.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { binding } from "../binding.js";
import { readTokenizerFiles } from "../checkpoint/index.js";
import { Engine, readEngineManifest } from "../engine/index.js";
import { EspalierError, toEspalierError } from "../errors.js";
import { usableMemoryBytes } from "../memory.js";
import type { ModelSpec } from "../model/spec.js";
import type { ResolvedTrainOptions } from "../train/config.js";
import { checkLength, openModelSource, sourceName, trainerModel } from "../train/model-source.js";
import type { NativeTrainer, TopLogits, TrainBatch } from "../train/native-trainer.js";
import type { DataModel } from "../train/parts.js";
import { alone } from "../train/ranks.js";
import { checkTrainerMemory, trainerConfig } from "../train/trainer-config.js";

export interface TeacherSource {
  readonly name: string;
  /** "sha256:..." */
  readonly fingerprint: string;
  readonly model: DataModel & { readonly spec: ModelSpec };
  /** After every token of the batch. Weights are read at the first call. ERR_NUMERIC, ERR_OUT_OF_MEMORY. */
  topLogits(batch: TrainBatch, top: number): Promise<TopLogits>;
  close(): Promise<void>;
}

export function isEngine(path: string): boolean {
  return existsSync(join(path, "engine.json"));
}

/** The caller closes it. ERR_ARGUMENT: sequences longer than it has positions. */
export function openTeacherSource(path: string, options: ResolvedTrainOptions): Promise<TeacherSource> {
  return isEngine(path) ? openEngineTeacher(path, options) : openModelTeacher(path, options);
}

async function openModelTeacher(path: string, options: ResolvedTrainOptions): Promise<TeacherSource> {
  const source = await openModelSource({ model: path, config: undefined, tokenizer: undefined });
  const { checkpoint: model, fingerprint } = source;
  let trainer: NativeTrainer | null = null;
  const close = async (): Promise<void> => {
    await trainer?.close();
    model.close();
  };
  try {
    checkLength(model, options);
  } catch (error) {
    await close();
    throw error;
  }
  const start = (): NativeTrainer => {
    const losses = [{ kind: "cross_entropy", weight: 1 }] as const;
    const plain = { ...options, freeze: [], loraRank: 0 };
    const inputs = { options: plain, ranks: alone, source, teacher: null, teacherTop: 0, losses };
    const started = new binding.NativeTrainer({
      ...trainerConfig(inputs),
      model: trainerModel(model),
      forwardOnly: true,
    });
    checkTrainerMemory(started, options);
    return started;
  };
  return {
    name: sourceName(source),
    fingerprint,
    model,
    topLogits: async (batch, top) => {
      try {
        trainer ??= start();
        return await trainer.topLogits(batch, top);
      } catch (error) {
        throw toEspalierError(error);
      }
    },
    close,
  };
}

async function openEngineTeacher(path: string, options: ResolvedTrainOptions): Promise<TeacherSource> {
  const { spec } = await readEngineManifest(path);
  const { seqLength, threads = 0, isa } = options;
  checkLength({ spec, path }, options);
  const rowBytes = 4 * seqLength * spec.vocabSize;
  if (rowBytes > usableMemoryBytes() / 4)
    throw new EspalierError(
      "ERR_OUT_OF_MEMORY",
      `distill: seqLength: the engine gives all logits of a sequence at once; ${seqLength} x ${spec.vocabSize} of them take ` +
        `${(rowBytes / 1e9).toFixed(1)} GB, more than a quarter of the memory`,
      { hint: "Use a smaller --seq-length, or the model that the engine was built from." },
    );
  let engine: Promise<Engine> | null = null;
  const load = (): Promise<Engine> =>
    Engine.load(path, { contextTokens: seqLength, kvTokens: seqLength, maxSequences: 1, threads, isa });
  return {
    name: basename(path),
    fingerprint: `sha256:${createHash("sha256")
      .update(await readFile(join(path, "engine.json")))
      .digest("hex")}`, // it holds the checksum of every weight
    model: { spec, tokenizerFiles: await readTokenizerFiles(path) },
    topLogits: async (batch, top) => engineLogits(await (engine ??= load()), batch, top),
    close: async () => (await engine?.catch(() => null))?.dispose(),
  };
}

async function engineLogits(engine: Engine, batch: TrainBatch, top: number): Promise<TopLogits> {
  const { sequences, length, tokens, documentStarts } = batch;
  if (documentStarts?.some((start) => start !== 0) === true)
    throw new EspalierError(
      "ERR_ARGUMENT",
      "distill: teacher: an engine takes each sample for one text; attention that begins anew at documents " +
        "(resetAttention, conversations) needs the model that the engine was built from",
    );
  const { vocabSize } = engine.spec;
  const out: TopLogits = {
    ids: new Int32Array(tokens.length * top),
    values: new Float32Array(tokens.length * top),
    logSumExp: new Float32Array(tokens.length),
  };
  for (let row = 0; row < sequences; ++row) {
    const [first] = await engine.logits(tokens.subarray(row * length, (row + 1) * length), { all: true });
    const logits = new Float32Array(first!.buffer, first!.byteOffset, length * vocabSize); // the rows stand together
    const found = await binding.topLogits(logits, vocabSize, top).catch((error: unknown) => {
      throw toEspalierError(error);
    });
    out.ids.set(found.ids, row * length * top);
    out.values.set(found.values, row * length * top);
    out.logSumExp.set(found.logSumExp, row * length);
  }
  return out;
}
