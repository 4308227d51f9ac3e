// SPDX-License-Identifier: Apache-2.0
/**
 * Tensors of the pruned model, cut out of the source's piece by piece: which rows and columns go follows from the
 * family's table. Nothing larger than a piece is ever in memory, but for the heads that are merged.
 */
import { throwIfAborted } from "../abort.js";
import { readTensorAs, type Checkpoint, type CheckpointTensor, type WeightDtype } from "../checkpoint/index.js";
import { EspalierError } from "../errors.js";
import { expectedTensors, type ExpectedTensor } from "../model/families.js";
import { gather } from "./gather.js";
import { mergedHeads } from "./merge.js";
import type { Selection } from "./select.js";
import { isMultiHead } from "./shape.js";

/** Bytes of the source looked at at once: the event loop waits about a millisecond at most. */
const PIECE_BYTES = 1 << 20;

/** Gives the bytes of each tensor of the pruned model. */
export function pruner(
  checkpoint: Checkpoint,
  selection: Selection,
  dtype: WeightDtype,
  signal: AbortSignal | undefined,
): (tensor: ExpectedTensor) => AsyncIterable<Uint8Array> {
  const key = (tensor: ExpectedTensor, layer: number | null): string => `${tensor.role}.${tensor.part}.${layer}`;
  const names = new Map(expectedTensors(checkpoint.spec).map((tensor) => [key(tensor, tensor.layer), tensor.name]));
  return (tensor) => {
    const { layer } = tensor;
    const name = names.get(key(tensor, layer === null ? null : selection.layers[layer]!));
    const source = checkpoint.tensors.get(name ?? "");
    if (source === undefined) throw new EspalierError("ERR_INTERNAL", `${tensor.name} has no source`);
    const merge = mergeOf(checkpoint, tensor, selection);
    const { headDim } = checkpoint.spec;
    const isVector = tensor.shape.length === 1;
    const rows = keptPlaces(tensor.dims[0], layer, selection, headDim);
    const cols = keptPlaces(tensor.dims[1], layer, selection, headDim);
    if (merge !== null) return mergedHeads(source, { ...merge, cols, headDim, isVector }, dtype, signal);
    // A vector is stored as one row.
    return isVector ? sliced(source, null, rows, dtype, signal) : sliced(source, rows, cols, dtype, signal);
  };
}

/** Places along one dimension that stay; null: all. */
function keptPlaces(
  dim: ExpectedTensor["dims"][number],
  layer: number | null,
  { hidden, perLayer }: Selection,
  headDim: number,
): Uint32Array | null {
  if (dim === "hidden") return hidden;
  if (layer === null || (dim !== "ffn" && dim !== "heads" && dim !== "kvHeads")) return null;
  const kept = perLayer[layer]![dim];
  if (kept === null || dim === "ffn") return kept;
  return Uint32Array.from({ length: kept.length * headDim }, (_, i) => {
    return kept[Math.floor(i / headDim)]! * headDim + (i % headDim);
  });
}

/** Heads whose rows are merged: queries; keys and values too where each query head has its own. */
function mergeOf(
  { spec }: Checkpoint,
  { dims, layer }: ExpectedTensor,
  { perLayer }: Selection,
): { heads: Uint32Array; partners: Int32Array } | null {
  if (layer === null || (dims[0] !== "heads" && !(dims[0] === "kvHeads" && isMultiHead(spec)))) return null;
  const { heads, partners } = perLayer[layer]!;
  return heads === null || partners === null ? null : { heads, partners };
}

/** Rows and columns of a stored tensor in `dtype`; null: all. */
async function* sliced(
  source: CheckpointTensor,
  rows: Uint32Array | null,
  cols: Uint32Array | null,
  dtype: WeightDtype,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const step = Math.max(1, Math.floor(PIECE_BYTES / (dtype === "f32" ? 4 : 2) / source.cols));
  let at = 0; // in `rows`
  for (let begin = 0; begin < source.rows; begin += step) {
    throwIfAborted(signal);
    const rowCount = Math.min(step, source.rows - begin);
    const from = at;
    while (rows !== null && at < rows.length && rows[at]! < begin + rowCount) at += 1;
    const wanted = rows?.subarray(from, at).map((row) => row - begin) ?? null;
    if (wanted?.length === 0) continue;
    const block = await readTensorAs(source, dtype, { rowBegin: begin, rowCount });
    const words = dtype === "f32" ? new Uint32Array(block.buffer) : new Uint16Array(block.buffer);
    const kept = gather(words, source.cols, wanted, cols);
    yield new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength);
  }
}
