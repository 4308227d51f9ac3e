/**
 * Calls of attention_train and attention_backward on random inputs, and the forward formula in float64.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { dense, freshRows, randomArray, unaligned } from "./row-cases.js";

export interface TrainShape {
  sequences: number;
  length: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Places where documents begin, the same in every row; none: one document, no array handed over. */
  documents?: readonly number[];
}

export interface TrainInputs extends TrainShape {
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
  dout: Float32Array;
  ldq: number;
  ldk: number;
  ldv: number;
  lddo: number;
  documentStarts: Int32Array | null;
  scale: number;
}

/** Rows dense, what lies between them left out. */
export interface TrainResult {
  out: Float32Array;
  lse: Float32Array;
  dq: Float32Array;
  dk: Float32Array;
  dv: Float32Array;
}

export type TrainOptions = { isa?: string; threads?: number; reference?: boolean; workspaceShort?: number };

function documentStartsOf({ sequences, length, documents }: TrainShape): Int32Array | null {
  if (documents === undefined) return null;
  const row = Array.from({ length }, (_, place) => Math.max(0, ...documents.filter((start) => start <= place)));
  return Int32Array.from(Array.from({ length: sequences }, () => row).flat());
}

export function makeInputs(shape: TrainShape): TrainInputs {
  const rows = shape.sequences * shape.length;
  const [width, kvWidth] = [shape.heads * shape.headDim, shape.kvHeads * shape.headDim];
  const [ldq, ldk, ldv, lddo] = [width + 3, kvWidth + 1, kvWidth + 5, width + 2];
  return {
    ...shape,
    q: unaligned(randomArray(rows * ldq, 1), 1),
    k: unaligned(randomArray(rows * ldk, 2), 2),
    v: unaligned(randomArray(rows * ldv, 3), 3),
    dout: unaligned(randomArray(rows * lddo, 4), 1),
    ldq,
    ldk,
    ldv,
    lddo,
    documentStarts: documentStartsOf(shape),
    scale: 1.7 / Math.sqrt(shape.headDim),
  };
}

/** Forward and backward into rows wider than needed, filled with a pattern. */
export function runTrainWide(inputs: TrainInputs, options: TrainOptions): TrainResult {
  const rows = inputs.sequences * inputs.length;
  const [width, kvWidth] = [inputs.heads * inputs.headDim, inputs.kvHeads * inputs.headDim];
  const result = {
    out: freshRows(rows, width + 1),
    lse: new Float32Array(inputs.sequences * inputs.heads * inputs.length),
    dq: freshRows(rows, width + 2),
    dk: freshRows(rows, kvWidth + 3),
    dv: freshRows(rows, kvWidth + 4),
  };
  const call = { ...inputs, ...result, ...options, ldo: width + 1 };
  binding.testing["attention_train"]!(call);
  binding.testing["attention_backward"]!({ ...call, lddq: width + 2, lddk: kvWidth + 3, lddv: kvWidth + 4 });
  return result;
}

/** Forward and backward. */
export function runTrain(inputs: TrainInputs, options: TrainOptions): TrainResult {
  const wide = runTrainWide(inputs, options);
  const rows = inputs.sequences * inputs.length;
  const [width, kvWidth] = [inputs.heads * inputs.headDim, inputs.kvHeads * inputs.headDim];
  return {
    out: dense(wide.out, rows, width),
    lse: wide.lse,
    dq: dense(wide.dq, rows, width),
    dk: dense(wide.dk, rows, kvWidth),
    dv: dense(wide.dv, rows, kvWidth),
  };
}

/** Σ dout · attention(q, k, v) in float64, for finite differences. */
export function weightedOutput(inputs: TrainInputs, q: Float64Array, k: Float64Array, v: Float64Array): number {
  const { sequences, length, heads, kvHeads, headDim, scale } = inputs;
  const group = heads / kvHeads;
  let total = 0;
  for (let s = 0; s < sequences; ++s)
    for (let h = 0; h < heads; ++h)
      for (let i = 0; i < length; ++i) {
        const row = s * length + i;
        const column = Math.floor(h / group) * headDim;
        const weights: number[] = [];
        for (let j = inputs.documentStarts?.[row] ?? 0; j <= i; ++j) {
          let score = 0;
          for (let d = 0; d < headDim; ++d)
            score += q[row * inputs.ldq + h * headDim + d]! * k[(s * length + j) * inputs.ldk + column + d]!;
          weights[j] = Math.exp(score * scale);
        }
        const sum = weights.reduce((a, b) => a + b, 0);
        weights.forEach((weight, j) => {
          for (let d = 0; d < headDim; ++d)
            total +=
              (weight / sum) *
              v[(s * length + j) * inputs.ldv + column + d]! *
              inputs.dout[row * inputs.lddo + h * headDim + d]!;
        });
      }
  return total;
}

interface Fixture extends TrainShape {
  scale: number;
  q: number[];
  k: number[];
  v: number[];
  dout: number[];
  out: number[];
  lse: number[];
  dq: number[];
  dk: number[];
  dv: number[];
}

/** What test/oracles/attention_train.py wrote: inputs and torch's results, dense rows. */
export function torchCases(): { inputs: TrainInputs; expected: TrainResult }[] {
  const path = join(__dirname, "../../fixtures/train-kernels/attention_train.json");
  return (JSON.parse(readFileSync(path, "utf8")) as (Fixture & { documents: number[] | null })[]).map((fixture) => {
    const { sequences, length, heads, kvHeads, headDim, scale, documents } = fixture;
    const shape = { sequences, length, heads, kvHeads, headDim, ...(documents && { documents }) };
    const read = (name: "q" | "k" | "v" | "dout" | keyof TrainResult): Float32Array => Float32Array.from(fixture[name]);
    const [width, kvWidth] = [heads * headDim, kvHeads * headDim];
    const strides = { ldq: width, ldk: kvWidth, ldv: kvWidth, lddo: width };
    const arrays = { q: read("q"), k: read("k"), v: read("v"), dout: read("dout") };
    return {
      inputs: { ...shape, ...arrays, ...strides, scale, documentStarts: documentStartsOf(shape) },
      expected: { out: read("out"), lse: read("lse"), dq: read("dq"), dk: read("dk"), dv: read("dv") },
    };
  });
}
