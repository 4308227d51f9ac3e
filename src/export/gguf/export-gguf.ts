// SPDX-License-Identifier: Apache-2.0
/**
 * exportGguf: any checkpoint as one GGUF file that llama.cpp loads. Tensors pass through a few MiB at a time; the file
 * appears whole or not at all.
 */
import { open } from "node:fs/promises";
import { basename, extname } from "node:path";
import { Readable } from "node:stream";
import { throwIfAborted } from "../../abort.js";
import { binding } from "../../binding.js";
import { checkTensors } from "../../checkpoint/index.js";
import type { Checkpoint, CheckpointTensor } from "../../checkpoint/types.js";
import { EspalierError, toEspalierError } from "../../errors.js";
import { writeFileAtomically } from "../../files/atomic-directory.js";
import { BlockWriter } from "../../files/block-writer.js";
import { expectedTensors, type ExpectedTensor } from "../../model/families.js";
import { ALIGNMENT, ggufHead, type GgufHead, type HeaderTensor } from "./header.js";
import { modelEntries, modelWarnings, ROPE_FACTORS, ropeFactors } from "./model-entries.js";
import { ggufFileType, tensorTypeOf, type GgufFileType } from "./tensor-types.js";
import { tokenizerEntries, tokenizerWarnings } from "./tokenizer-entries.js";

export interface GgufExportOptions {
  /** "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k" or "q6_k"; default "f16". */
  type?: string;
  /** The same type for every matrix; otherwise some get more bits, as llama-quantize gives them. */
  pure?: boolean;
  /** tokenizer.ggml.pre, when the pre-tokenizer is not to be recognized by what it does. */
  pre?: string;
  /** general.name; the name of the model's file or directory unless told otherwise. */
  name?: string;
  onProgress?: (progress: { bytesDone: number; bytesTotal: number }) => void;
  signal?: AbortSignal;
}

export interface GgufExportResult {
  path: string;
  type: string;
  sizeBytes: number;
  /** How many tensors have each type. */
  tensors: Record<string, number>;
  /** Tensors whose rows are no multiple of the wanted type's block. */
  fallbacks: { tensor: string; wanted: string; type: string }[];
  /** What the file's readers will not be able to do. */
  warnings: string[];
}

/** Elements quantized at once: 16 MiB as f32. */
const PIECE_ELEMENTS = 1 << 22;

interface PlannedTensor extends HeaderTensor {
  pieces: () => AsyncIterable<Uint8Array>;
}

/**
 * Writes a checkpoint as a GGUF file. ERR_OUTPUT_EXISTS, ERR_WEIGHT_VALUE, ERR_TOKENIZER_UNSUPPORTED, ERR_MODEL_ROPE,
 * ERR_DISK_FULL, ERR_ABORTED.
 *
 * @example
 * await using checkpoint = await openCheckpoint("SmolLM2-135M");
 * await exportGguf(checkpoint, "SmolLM2-135M-q4_k.gguf", { type: "q4_k" });
 */
export async function exportGguf(
  checkpoint: Checkpoint,
  target: string,
  options: GgufExportOptions = {},
): Promise<GgufExportResult> {
  const file = ggufFileType(options.type ?? "f16");
  checkTensors(checkpoint);
  const fallbacks: GgufExportResult["fallbacks"] = [];
  const tensors = plan(checkpoint, file, options, fallbacks);
  const name = options.name ?? modelName(checkpoint.path);
  const tokenizer = await tokenizerEntries(checkpoint, options.pre);
  const entries = [...modelEntries(checkpoint.spec, { name, fileType: file.number }), ...tokenizer];
  const head = ggufHead(entries, tensors);
  let sizeBytes = 0;
  await writeFileAtomically(
    target,
    async (staging) => {
      sizeBytes = await writeFile(staging, head, tensors, options);
    },
    { signal: options.signal },
  );
  const counts: Record<string, number> = {};
  for (const { type } of tensors) counts[type] = (counts[type] ?? 0) + 1;
  const warnings = [...modelWarnings(checkpoint.spec), ...tokenizerWarnings(tokenizer)];
  return { path: target, type: file.id, sizeBytes, tensors: counts, fallbacks, warnings };
}

/** "models/SmolLM2-135M/" -> "SmolLM2-135M" */
export function modelName(path: string): string {
  const extension = extname(path);
  return basename(path, [".gguf", ".safetensors"].includes(extension) ? extension : "");
}

function plan(
  checkpoint: Checkpoint,
  file: GgufFileType,
  { pure = false, signal }: GgufExportOptions,
  fallbacks: GgufExportResult["fallbacks"],
): PlannedTensor[] {
  const { spec, tensors } = checkpoint;
  const planned = expectedTensors(spec).map((tensor): PlannedTensor => {
    const { type, wanted } = tensorTypeOf(tensor, spec, file, pure);
    if (type !== wanted) fallbacks.push({ tensor: tensor.ggufName, wanted, type });
    const source = tensors.get(tensor.name);
    return {
      name: tensor.ggufName,
      shape: tensor.shape,
      type,
      pieces: () => piecesOf(source, tensor, type, signal),
    };
  });
  const factors = ropeFactors(spec.rope);
  if (factors === null) return planned;
  const bytes = new Uint8Array(factors.buffer, factors.byteOffset, factors.byteLength);
  const given = checkpoint.format === "gguf" ? tensors.get(ROPE_FACTORS) : undefined; // kept to the bit
  const pieces = (): AsyncIterable<Uint8Array> =>
    given === undefined
      ? Readable.from([bytes])
      : piecesOf(given, { name: ROPE_FACTORS, ggufPermuteHeads: 0 }, "f32", signal);
  return [{ name: ROPE_FACTORS, shape: [factors.length], type: "f32", pieces }, ...planned];
}

async function* piecesOf(
  source: CheckpointTensor | undefined,
  { name, ggufPermuteHeads }: Pick<ExpectedTensor, "name" | "ggufPermuteHeads">,
  type: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (source === undefined) throw new EspalierError("ERR_INTERNAL", `${name} vanished`);
  // A tensor from a GGUF file lies in GGUF's order already.
  const inOrder = source.permuteHeads === ggufPermuteHeads;
  const place = inOrder ? { ...source, permuteHeads: 0 } : source;
  const interleaveHeads = inOrder ? 0 : ggufPermuteHeads;
  const step = Math.max(1, Math.floor(PIECE_ELEMENTS / Math.max(1, source.cols)));
  for (let rowBegin = 0; rowBegin < source.rows; rowBegin += step) {
    throwIfAborted(signal);
    const rowCount = Math.min(step, source.rows - rowBegin);
    try {
      yield await binding.encodeBlocks(source.mapped, place, { type, rowBegin, rowCount, interleaveHeads });
    } catch (error) {
      const known = toEspalierError(error);
      if (!(known instanceof EspalierError)) throw known;
      const message = `${source.file}: tensor "${source.sourceName}": ${known.message}`;
      throw new EspalierError(known.code, message, { hint: known.hint, cause: known });
    }
  }
}

async function writeFile(
  path: string,
  head: GgufHead,
  tensors: readonly PlannedTensor[],
  { onProgress, signal }: GgufExportOptions,
): Promise<number> {
  const file = await open(path, "wx");
  try {
    const out = new BlockWriter(file);
    const bytesTotal = head.tensorBytes.reduce((sum, bytes) => sum + bytes, 0);
    let bytesDone = 0;
    await out.append(head.bytes);
    for (const [index, tensor] of tensors.entries()) {
      let left = head.tensorBytes[index] ?? 0;
      for await (const piece of tensor.pieces()) {
        throwIfAborted(signal);
        await out.append(piece);
        left -= piece.length;
        bytesDone += piece.length;
        onProgress?.({ bytesDone, bytesTotal });
      }
      if (left !== 0) throw new EspalierError("ERR_INTERNAL", `${tensor.name}: ${left} bytes short of its shape`);
      await out.padTo(ALIGNMENT);
    }
    await out.finish();
    return out.position;
  } finally {
    await file.close();
  }
}
