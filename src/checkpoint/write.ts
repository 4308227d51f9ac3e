/**
 * exportHuggingFace: any checkpoint as a Hugging Face directory that transformers 4 and 5 load.
 */
import { copyFile, readdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { version } from "../version.js";
import { EspalierError } from "../errors.js";
import { throwIfAborted } from "../abort.js";
import { writeDirectoryAtomically } from "../files/atomic-directory.js";
import { configFromSpec } from "../model/hf-config.js";
import { expectedTensors, type ExpectedTensor } from "../model/families.js";
import { checkTensors } from "./check.js";
import { fingerprintOf } from "./fingerprint.js";
import { readTensorAs } from "./read.js";
import {
  dtypeBytes,
  tensorBytes,
  writeSafetensors,
  type PlannedTensor,
  type WeightDtype,
} from "./safetensors-writer.js";
import { writeTokenizerFiles } from "../tokenizer/index.js";
import type { Checkpoint, CheckpointTensor } from "./types.js";

export interface ExportProgress {
  bytesDone: number;
  bytesTotal: number;
}

export interface ExportOptions {
  /** What weights are written in; "f32" unless told otherwise. */
  dtype?: WeightDtype;
  /** 5 GB unless told otherwise. */
  maxShardBytes?: number;
  /** More files: name -> text, or an object written as JSON. They win over those of the source. */
  files?: Record<string, string | object>;
  /** Writes more files into the directory before it appears. Unless told otherwise: the tokenizer's. */
  fill?: (directory: string) => Promise<void>;
  /** What espalier.json says made this directory; "export" unless told otherwise. */
  step?: string;
  /** Its options in espalier.json; the dtype alone unless told otherwise. */
  lineage?: Record<string, unknown>;
  /** More keys of config.json. */
  config?: Record<string, unknown>;
  /**
   * A tensor's bytes in the written dtype, when they are not those of the checkpoint's tensor of that name: its spec
   * and config are then those of what is written.
   */
  pieces?: (tensor: ExpectedTensor) => AsyncIterable<Uint8Array>;
  onProgress?: (progress: ExportProgress) => void;
  signal?: AbortSignal;
}

export interface ExportResult {
  path: string;
  /** Names of the files written. */
  files: string[];
  weightBytes: number;
}

/** Keys of a config.json that say how weights were stored or rotary parameters spelt; ours replace them. */
const REPLACED_KEYS = [
  "dtype",
  "compression_config",
  "quantization_config", // floats are written, without scales of weights or of the cache
  "rope_parameters",
  "rope_scaling",
  "rope_theta",
  "torch_dtype",
  "transformers_version",
];
const PIECE_BYTES = 1 << 22;
const TORCH_NAMES = { f32: "float32", f16: "float16", bf16: "bfloat16" } as const;

/**
 * Writes a checkpoint as a Hugging Face directory. Tensors pass through one at a time; the directory appears whole or
 * not at all.
 *
 * @example
 * await using checkpoint = await openCheckpoint("model.gguf");
 * await exportHuggingFace(checkpoint, "model-hf", { dtype: "bf16" });
 */
export async function exportHuggingFace(
  checkpoint: Checkpoint,
  target: string,
  options: ExportOptions = {},
): Promise<ExportResult> {
  const dtype = options.dtype ?? "f32";
  if (!Object.hasOwn(dtypeBytes, dtype))
    throw new EspalierError("ERR_ARGUMENT", `dtype: expected f32, f16 or bf16, found "${dtype}"`);
  if (options.pieces === undefined) checkTensors(checkpoint);
  const config = { ...configOf(checkpoint, dtype), ...options.config };
  let files: string[] = [];
  let weightBytes = 0;
  await writeDirectoryAtomically(
    target,
    async (staging) => {
      await (options.fill ?? ((directory) => writeTokenizerFiles(checkpoint, directory)))(staging);
      const small = await smallFiles(checkpoint, config, dtype, options);
      for (const [name, content] of small) {
        if (content instanceof URL) await copyFile(content, join(staging, name));
        else await writeFile(join(staging, name), content);
      }
      const shards = shardsOf(plan(checkpoint, dtype, options), dtype, options.maxShardBytes ?? 5e9);
      weightBytes = await writeShards(staging, shards, dtype, options);
      if (shards.length > 1)
        await writeFile(join(staging, "model.safetensors.index.json"), json(indexOf(shards, weightBytes)));
      files = await readdir(staging);
    },
    { signal: options.signal },
  );
  return { path: target, files: files.sort(), weightBytes };
}

/** Everything of a Hugging Face directory but the weights, into a directory that is there; `config` wins over its config.json. */
export async function writeModelFiles(
  checkpoint: Checkpoint,
  directory: string,
  dtype: WeightDtype,
  options: Pick<ExportOptions, "files" | "fill" | "step" | "lineage" | "config"> = {},
): Promise<void> {
  const config = { ...configOf(checkpoint, dtype), ...options.config };
  const small = await smallFiles(checkpoint, config, dtype, options);
  for (const [name, content] of small) {
    if (content instanceof URL) await copyFile(content, join(directory, name));
    else await writeFile(join(directory, name), content);
  }
  await (options.fill ?? ((target) => writeTokenizerFiles(checkpoint, target)))(directory);
}

function configOf(checkpoint: Checkpoint, dtype: WeightDtype): Record<string, unknown> {
  const ours = configFromSpec(checkpoint.spec, TORCH_NAMES[dtype]);
  if (checkpoint.format === "gguf") return ours;
  const kept = Object.fromEntries(Object.entries(checkpoint.config).filter(([key]) => !REPLACED_KEYS.includes(key)));
  // The source's own ids: generation_config.json may have others, and is copied.
  const { rope_scaling, rope_theta, torch_dtype } = ours;
  return { ...kept, rope_scaling, rope_theta, torch_dtype };
}

/** Everything but weights: name -> content, or the file to copy. */
async function smallFiles(
  checkpoint: Checkpoint,
  config: Record<string, unknown>,
  dtype: WeightDtype,
  options: Pick<ExportOptions, "files" | "step" | "lineage">,
): Promise<Map<string, string | URL>> {
  const { spec, tokenizerFiles } = checkpoint;
  const out = new Map<string, string | URL>();
  const copies = [...(tokenizerFiles.tokenizerJson === undefined ? [] : [tokenizerFiles.tokenizerJson])];
  for (const path of [...copies, ...(tokenizerFiles.others ?? [])]) out.set(basename(path), pathToFileURL(path));
  if (tokenizerFiles.tokenizerConfig !== undefined)
    out.set("tokenizer_config.json", json(tokenizerFiles.tokenizerConfig));
  out.set("config.json", withFloats(json(config)));
  const ids = {
    bos_token_id: spec.bosTokenId,
    eos_token_id: spec.eosTokenIds.length > 1 ? spec.eosTokenIds : (spec.eosTokenIds[0] ?? null),
    pad_token_id: spec.padTokenId,
  };
  const given = Object.fromEntries(Object.entries(ids).filter(([, id]) => id !== null));
  out.set("generation_config.json", json(tokenizerFiles.generationConfig ?? { _from_model_config: true, ...given }));
  out.set("espalier.json", json(await lineageOf(checkpoint, dtype, options)));
  for (const [name, content] of Object.entries(options.files ?? {})) {
    if (basename(name) !== name || name === "config.json" || name.endsWith(".safetensors"))
      throw new EspalierError("ERR_ARGUMENT", `files: "${name}" cannot be the name of an extra file`);
    out.set(name, typeof content === "string" ? content : json(content));
  }
  return out;
}

async function lineageOf(
  checkpoint: Checkpoint,
  dtype: WeightDtype,
  options: Pick<ExportOptions, "step" | "lineage">,
): Promise<object> {
  return {
    step: options.step ?? "export",
    version,
    options: options.lineage ?? { dtype },
    parent: {
      name: basename(checkpoint.path),
      format: checkpoint.format,
      fingerprint: await fingerprintOf(checkpoint),
    },
  };
}

/** transformers wants these written as floats: 4.0, not 4. */
const FLOAT_KEYS =
  /^(\s*"(?:rope_theta|\w*factor|beta_\w+|mscale\w*|attention_dropout|llm_int8_threshold)": -?\d+)(,?)$/gm;

function withFloats(text: string): string {
  return text.replace(FLOAT_KEYS, "$1.0$2");
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function plan(checkpoint: Checkpoint, dtype: WeightDtype, { pieces, signal }: ExportOptions): PlannedTensor[] {
  return expectedTensors(checkpoint.spec).map((tensor) => ({
    name: tensor.name,
    shape: tensor.shape,
    pieces: () => pieces?.(tensor) ?? piecesOf(checkpoint.tensors.get(tensor.name), tensor.name, dtype, signal),
  }));
}

async function* piecesOf(
  tensor: CheckpointTensor | undefined,
  name: string,
  dtype: WeightDtype,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (tensor === undefined) throw new EspalierError("ERR_INTERNAL", `${name} vanished`);
  const step = Math.max(1, Math.floor(PIECE_BYTES / dtypeBytes[dtype] / Math.max(1, tensor.cols)));
  for (let rowBegin = 0; rowBegin < tensor.rows; rowBegin += step) {
    throwIfAborted(signal);
    yield await readTensorAs(tensor, dtype, { rowBegin, rowCount: Math.min(step, tensor.rows - rowBegin) });
  }
}

interface Shard {
  name: string;
  tensors: PlannedTensor[];
  bytes: number;
}

/** Tensors in order, a new shard when the next one would not fit. */
function shardsOf(tensors: PlannedTensor[], dtype: WeightDtype, maxShardBytes: number): Shard[] {
  if (!(maxShardBytes > 0))
    throw new EspalierError("ERR_ARGUMENT", `maxShardBytes: expected a positive number, found ${maxShardBytes}`);
  const shards: Shard[] = [];
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor.shape, dtype);
    const last = shards[shards.length - 1];
    if (last !== undefined && last.bytes + bytes <= maxShardBytes) {
      last.tensors.push(tensor);
      last.bytes += bytes;
    } else shards.push({ name: "", tensors: [tensor], bytes });
  }
  const number = (n: number): string => String(n).padStart(5, "0");
  shards.forEach((shard, i) => {
    shard.name =
      shards.length === 1 ? "model.safetensors" : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
  });
  return shards;
}

async function writeShards(
  staging: string,
  shards: Shard[],
  dtype: WeightDtype,
  options: ExportOptions,
): Promise<number> {
  const bytesTotal = shards.reduce((sum, shard) => sum + shard.bytes, 0);
  let bytesDone = 0;
  for (const shard of shards)
    await writeSafetensors(join(staging, shard.name), shard.tensors, dtype, (bytes) => {
      bytesDone += bytes;
      options.onProgress?.({ bytesDone, bytesTotal });
    });
  return bytesTotal;
}

function indexOf(shards: Shard[], bytes: number): object {
  const entries = shards.flatMap((shard) => shard.tensors.map((tensor) => [tensor.name, shard.name] as const));
  return {
    metadata: { total_size: bytes },
    weight_map: Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}
