// SPDX-License-Identifier: Apache-2.0
/**
 * A run's checkpoints: RUN/checkpoints/step_0000100, each a Hugging Face directory (merged weights, tokenizer) that also
 * holds trainer.safetensors (moments; adapters and projections) and state.json. Each appears whole or not at all.
 */
import { createHash, type Hash } from "node:crypto";
import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { binding } from "../binding.js";
import { readTensor, writeModelFiles, writeSafetensors, type Checkpoint } from "../checkpoint/index.js";
import { sourceShape } from "../checkpoint/assemble.js";
import { readSafetensorsHeader } from "../checkpoint/safetensors.js";
import { readJsonFile } from "../checkpoint/strict-json.js";
import { EspalierError, toEspalierError } from "../errors.js";
import { writeDirectoryAtomically } from "../files/atomic-directory.js";
import { expectedTensors } from "../model/families.js";
import type { NativeTrainer, ParameterPart } from "./native-trainer.js";
import { parseState, type CheckpointState, type FileRecord } from "./run-state.js";

const WEIGHTS = "model.safetensors";
const TRAINER = "trainer.safetensors";
const STATE = "state.json";
const NAME = /^step_(\d{7,})$/;
const PIECE_BYTES = 1 << 22;

export interface SavedCheckpoint {
  path: string;
  step: number;
}

/** Checkpoints there are, newest first. */
export async function listCheckpoints(folder: string): Promise<SavedCheckpoint[]> {
  const names = await readdir(folder).catch(() => []);
  const found = names.flatMap((name) => {
    const step = NAME.exec(name)?.[1];
    return step === undefined ? [] : [{ path: join(folder, name), step: Number(step) }];
  });
  return found.sort((a, b) => b.step - a.step);
}

/** Removes what a killed process left half-written; nobody else may be writing there. */
export async function removeHalfWritten(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => []))
    if (name.startsWith(".step_")) await rm(join(folder, name), { recursive: true, force: true });
}

/** Writes the trainer's state; `source` gives configuration and tokenizer. The path. */
export async function saveCheckpoint(
  folder: string,
  source: Checkpoint,
  trainer: NativeTrainer,
  state: Omit<CheckpointState, "files">,
): Promise<string> {
  const path = join(folder, `step_${String(state.progress.step).padStart(7, "0")}`);
  await rm(path, { recursive: true, force: true }); // only ever a damaged one, which the run did not go on from
  await writeDirectoryAtomically(path, async (staging) => {
    await writeModelFiles(source, staging, "f32", { files: { "espalier.json": { step: "train" } } });
    const files: Record<string, FileRecord> = {
      [WEIGHTS]: await writeHashed(join(staging, WEIGHTS), modelTensors(source, trainer)),
      [TRAINER]: await writeHashed(join(staging, TRAINER), trainerTensors(source, trainer)),
    };
    const whole: CheckpointState = { ...state, files };
    await writeFile(join(staging, STATE), `${JSON.stringify(whole, null, 1)}\n`);
  });
  return path;
}

interface SavedTensor {
  name: string;
  shape: readonly number[];
  read: () => Promise<Float32Array>;
}

async function writeHashed(path: string, tensors: readonly SavedTensor[]): Promise<FileRecord> {
  const hash = createHash("sha256");
  const planned = tensors.map(({ name, shape, read }) => ({ name, shape, pieces: () => hashed(read, hash) }));
  await writeSafetensors(path, planned, "f32");
  return { bytes: (await stat(path)).size, sha256: hash.digest("hex") };
}

async function* hashed(read: () => Promise<Float32Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for (const piece of pieces(await read())) {
    hash.update(piece);
    yield piece;
  }
}

/** The model as others read it: adapters merged. */
function modelTensors({ spec }: Checkpoint, trainer: NativeTrainer): SavedTensor[] {
  return expectedTensors(spec).map(({ name, shape }) => ({ name, shape, read: () => trainer.merged(name) }));
}

/** What the model's file does not hold: moments, and weights that are the trainer's own (adapters, projections). */
function trainerTensors({ spec }: Checkpoint, trainer: NativeTrainer): SavedTensor[] {
  const ofModel = new Set(expectedTensors(spec).map((tensor) => tensor.name));
  return trainer.parameters.flatMap(({ name, shape, trainable }) => {
    if (!trainable) return [];
    const parts: ParameterPart[] = ofModel.has(name) ? ["moment1", "moment2"] : ["weight", "moment1", "moment2"];
    return parts.map((part) => ({ name: `${part}.${name}`, shape, read: () => trainer.read(name, part) }));
  });
}

/** Removes all but the newest and the `keep` best by validation loss; without one, newer is better. */
export async function pruneCheckpoints(folder: string, keep: number): Promise<void> {
  const [newest, ...others] = await listCheckpoints(folder);
  if (newest === undefined) return;
  const lossOf = async (path: string): Promise<number> =>
    readCheckpointState(path).then(
      (state) => state.progress.valLoss ?? Infinity,
      () => Infinity,
    );
  const ranked = await Promise.all([newest, ...others].map(async (row) => ({ ...row, loss: await lossOf(row.path) })));
  ranked.sort((a, b) => (a.loss === b.loss ? b.step - a.step : a.loss - b.loss));
  for (const { path } of ranked.slice(keep)) if (path !== newest.path) await rm(path, { recursive: true, force: true });
}

/** What state.json says, once the files are there in full. ERR_TRAIN_CHECKPOINT. */
export async function readCheckpointState(path: string): Promise<CheckpointState> {
  try {
    const where = join(path, STATE);
    const state = parseState(await readJsonFile(where), where);
    for (const [name, { bytes }] of Object.entries(state.files)) {
      const found = (await stat(join(path, name))).size;
      if (found !== bytes) throw new Error(`${name}: expected ${bytes} bytes, found ${found}`);
    }
    return state;
  } catch (error) {
    throw damaged(path, error);
  }
}

/**
 * Puts a checkpoint's values into the trainer; ERR_TRAIN_CHECKPOINT when they are not those that were written. Beside
 * adapters the model's file holds merged weights: the trainer keeps those it began with, which never change.
 */
export async function restoreCheckpoint(
  path: string,
  state: CheckpointState,
  trainer: NativeTrainer,
  { adapters }: { adapters: boolean },
): Promise<void> {
  const known = new Set(trainer.parameters.map((parameter) => parameter.name));
  try {
    await readHashed(path, WEIGHTS, state, async (name, values) => {
      if (!adapters && known.has(name)) await trainer.write(name, "weight", values);
    });
    await readHashed(path, TRAINER, state, async (key, values) => {
      const dot = key.indexOf(".");
      await trainer.write(key.slice(dot + 1), key.slice(0, dot) as ParameterPart, values);
    });
  } catch (error) {
    throw damaged(path, error);
  }
  trainer.step = state.progress.updates;
}

async function readHashed(
  directory: string,
  name: string,
  state: CheckpointState,
  take: (tensor: string, values: Float32Array) => Promise<void>,
): Promise<void> {
  const file = join(directory, name);
  const hash = createHash("sha256");
  const header = await readSafetensorsHeader(file);
  const mapped = new binding.MappedFile(file);
  try {
    for (const { name: tensor, type, shape, offset, sizeBytes } of header.tensors) {
      const place = { offset, sizeBytes, type, ...sourceShape(shape), permuteHeads: 0 };
      const values = await readTensor({ ...place, name: tensor, sourceName: tensor, file, mapped, shape });
      for (const piece of pieces(values)) hash.update(piece);
      await take(tensor, values);
    }
  } finally {
    mapped.close();
  }
  if (hash.digest("hex") !== state.files[name]?.sha256)
    throw new Error(`${name}: its values are not those that were written`);
}

function* pieces(values: Float32Array): Generator<Uint8Array> {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}

function damaged(path: string, error: unknown): EspalierError {
  const cause = toEspalierError(error);
  if (cause instanceof EspalierError && ["ERR_TRAIN_CHECKPOINT", "ERR_OUT_OF_MEMORY"].includes(cause.code))
    return cause;
  return new EspalierError("ERR_TRAIN_CHECKPOINT", `${path}: ${(cause as Error).message}`, { cause });
}
