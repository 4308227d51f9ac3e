// SPDX-License-Identifier: Apache-2.0
/**
 * Scores that need no calibration data, for comparison: chance, and the size of the weights.
 */
import { throwIfAborted } from "../abort.js";
import { readTensor, type Checkpoint, type CheckpointTensor } from "../checkpoint/index.js";
import { NumpyRandomState } from "../data/numpy-random.js";
import { EspalierError } from "../errors.js";
import { expectedTensors, type ExpectedTensor } from "../model/families.js";
import type { ModelSpec } from "../model/spec.js";
import type { ImportanceScores } from "./scores.js";

export const controlNames = ["random", "magnitude"] as const;
export type ControlName = (typeof controlNames)[number];

/** Values of a piece, so that the event loop waits about a millisecond at most. */
const PIECE_VALUES = 1 << 18;

/** A random order along every axis. */
export function randomScores(spec: ModelSpec, model: string, seed: number): ImportanceScores {
  const random = new NumpyRandomState(seed);
  const order = (size: number): Float32Array => {
    const values = Uint32Array.from({ length: size }, (_, i) => i);
    random.shuffle(values);
    return Float32Array.from(values);
  };
  const everyLayer = (size: number): Float32Array[] => Array.from({ length: spec.numLayers }, () => order(size));
  return {
    model,
    hidden: order(spec.hiddenSize),
    ffn: everyLayer(spec.intermediateSize),
    heads: everyLayer(spec.numHeads),
    kvGroups: everyLayer(spec.numKvHeads),
    layers: Float64Array.from(order(spec.numLayers)),
    contiguous: [],
  };
}

/** Sums of squares, [size] each; roots are taken at the end. */
interface Sums {
  hidden: Float64Array;
  ffn: Float64Array[];
  heads: Float64Array[];
  kvHeads: Float64Array[];
  layers: Float64Array;
}

/** The L2 norm of all weights that belong to a channel, neuron, head or layer: its rows, columns and biases. */
export async function magnitudeScores(
  checkpoint: Checkpoint,
  model: string,
  signal: AbortSignal | undefined,
): Promise<ImportanceScores> {
  const { spec, tensors } = checkpoint;
  const everyLayer = (size: number): Float64Array[] =>
    Array.from({ length: spec.numLayers }, () => new Float64Array(size));
  const sums: Sums = {
    hidden: new Float64Array(spec.hiddenSize),
    ffn: everyLayer(spec.intermediateSize),
    heads: everyLayer(spec.numHeads),
    kvHeads: everyLayer(spec.numKvHeads),
    layers: new Float64Array(spec.numLayers),
  };
  for (const tensor of expectedTensors(spec)) {
    const stored = tensors.get(tensor.name);
    if (stored === undefined) throw new EspalierError("ERR_INTERNAL", `${tensor.name} vanished`);
    await addTensor(sums, tensor, stored, spec.headDim, signal);
  }
  const root = (values: Float64Array): Float32Array => Float32Array.from(values, Math.sqrt);
  return {
    model,
    hidden: root(sums.hidden),
    ffn: sums.ffn.map(root),
    heads: sums.heads.map(root),
    kvGroups: sums.kvHeads.map(root),
    layers: sums.layers.map(Math.sqrt),
    contiguous: [],
  };
}

async function addTensor(
  sums: Sums,
  tensor: ExpectedTensor,
  stored: CheckpointTensor,
  headDim: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  // A vector is read as one row: its places are the rows of the pattern.
  const isVector = tensor.shape.length === 1;
  const rowSums = new Float64Array(isVector ? 0 : stored.rows);
  const colSums = new Float64Array(stored.cols);
  const step = Math.max(1, Math.floor(PIECE_VALUES / stored.cols));
  for (let rowBegin = 0; rowBegin < stored.rows; rowBegin += step) {
    throwIfAborted(signal);
    const rowCount = Math.min(step, stored.rows - rowBegin);
    addSquares(await readTensor(stored, { rowBegin, rowCount }), rowBegin, rowSums, colSums);
  }
  const [rows, cols] = tensor.dims;
  const axes: [string, Float64Array][] = isVector
    ? [[rows, colSums]]
    : [
        [rows, rowSums],
        [cols, colSums],
      ];
  for (const [dim, squares] of axes) {
    if (dim === "hidden") squares.forEach((value, i) => (sums.hidden[i]! += value));
    if (tensor.layer === null || (dim !== "ffn" && dim !== "heads" && dim !== "kvHeads")) continue;
    const target = sums[dim][tensor.layer]!;
    const width = dim === "ffn" ? 1 : headDim;
    squares.forEach((value, i) => (target[Math.floor(i / width)]! += value));
  }
  if (tensor.layer !== null) sums.layers[tensor.layer]! += colSums.reduce((sum, value) => sum + value, 0);
}

/** values [rows, cols], row-major; `rowSums` is empty when nobody asks for rows. */
function addSquares(values: Float32Array, rowBegin: number, rowSums: Float64Array, colSums: Float64Array): void {
  const cols = colSums.length;
  for (let at = 0, row = rowBegin; at < values.length; at += cols, ++row) {
    let sum = 0;
    for (let col = 0; col < cols; ++col) {
      const square = values[at + col]! * values[at + col]!;
      colSums[col]! += square;
      sum += square;
    }
    if (rowSums.length > 0) rowSums[row]! += sum;
  }
}
