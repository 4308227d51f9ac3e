// SPDX-License-Identifier: Apache-2.0
/**
 * A checkpoint's tensors as initializers of floats. ONNX multiplies [tokens, in] by [in, out], so the linear layers'
 * [out, in] are written transposed; one tensor at a time is in memory. Quantized ones: quantized-weights.ts.
 */
import { throwIfAborted } from "../../abort.js";
import { readTensorAs, type CheckpointTensor } from "../../checkpoint/index.js";
import { EspalierError } from "../../errors.js";
import type { Initializer } from "./graph-builder.js";
import { tensorBytes, type FloatType } from "./tensor-types.js";

/** Elements that are read and turned at a time: a few milliseconds at most of the event loop. */
const PIECE_ELEMENTS = 1 << 16;

interface RowPiece {
  rowBegin: number;
  rowCount: number;
}

/** Consecutive rows, as many as make a piece. */
function* rowPieces({ rows, cols }: CheckpointTensor, signal: AbortSignal | undefined): Generator<RowPiece> {
  const step = Math.max(1, Math.floor(PIECE_ELEMENTS / cols));
  for (let rowBegin = 0; rowBegin < rows; rowBegin += step) {
    throwIfAborted(signal);
    yield { rowBegin, rowCount: Math.min(step, rows - rowBegin) };
  }
}

/** The tensor as it is, rounded to `type`. */
export function denseInitializer(tensor: CheckpointTensor, type: FloatType, signal?: AbortSignal): Initializer {
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for (const piece of rowPieces(tensor, signal)) yield await readTensorAs(tensor, type, piece);
  };
  return { name: tensor.name, type, dims: tensor.shape, pieces };
}

/** [out, in] as [in, out], rounded to `type`. */
export function transposedInitializer(tensor: CheckpointTensor, type: FloatType, signal?: AbortSignal): Initializer {
  const dims = [tensor.cols, tensor.rows];
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    const out = allocate(tensorBytes(type, dims), tensor.name);
    const elements = (bytes: Uint8Array): Uint32Array | Uint16Array =>
      type === "f32" ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
    for (const piece of rowPieces(tensor, signal))
      transposeRows(elements(await readTensorAs(tensor, type, piece)), elements(out), tensor, piece);
    yield out;
  };
  return { name: tensor.name, type, dims, pieces };
}

type Elements = Uint16Array | Uint32Array;

/** part [rowCount, cols], rows rowBegin and on of [rows, cols] -> their columns of out [cols, rows]. */
function transposeRows<T extends Elements>(
  part: T,
  out: T,
  { rows, cols }: { rows: number; cols: number },
  { rowBegin, rowCount }: RowPiece,
): void {
  for (let col = 0; col < cols; ++col) {
    const place = col * rows + rowBegin;
    for (let row = 0; row < rowCount; ++row) out[place + row] = part[row * cols + col]!;
  }
}

function allocate(bytes: number, name: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes);
  } catch (error) {
    throw new EspalierError("ERR_OUT_OF_MEMORY", `no memory for tensor "${name}" (${bytes} bytes)`, { cause: error });
  }
}
