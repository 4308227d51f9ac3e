// SPDX-License-Identifier: Apache-2.0
/**
 * Symmetric weight quantization by the largest value of a channel or group, round to nearest: int8 and fp8 (e4m3) by
 * channel, int4 by groups of a row. Scales are compressed-tensors': absmax / 127.5, / 448 and / 7.5.
 */
import { EspalierError } from "../../errors.js";
import { e4m3Code, roundHalfEven, roundTo } from "./small-float.js";
import type { FloatType } from "./tensor-types.js";

export const quantizedKinds = ["int8", "fp8", "int4"] as const;
export type QuantizedKind = (typeof quantizedKinds)[number];

/** Rows of a quantized matrix. Symmetric: zero points are all 0 and not stored. */
export interface QuantizedRows {
  /** [rows, cols]: two's complement, or e4m3. int4 has a byte each, its code in the low half. */
  codes: Uint8Array;
  /** [rows, cols / groupSize], as the scales' type holds them. */
  scales: Float32Array;
}

export interface QuantizeRowsArguments {
  kind: QuantizedKind;
  /** [rows, cols] */
  values: Float32Array;
  cols: number;
  /** Values that share a scale; divides cols. */
  groupSize: number;
  scaleType: FloatType;
  /** For messages: the tensor's name and which of its rows is the first of `values`. */
  name: string;
  rowBegin: number;
}

interface Grid {
  /** A scale is absmax divided by this. */
  divisor: number;
  code: (scaled: number) => number;
}

const clamped = (value: number, least: number, most: number): number => Math.min(Math.max(value, least), most);

const grids: Readonly<Record<QuantizedKind, Grid>> = {
  int8: { divisor: 127.5, code: (scaled) => roundHalfEven(clamped(scaled, -128, 127)) & 0xff },
  fp8: { divisor: 448, code: e4m3Code },
  int4: { divisor: 7.5, code: (scaled) => roundHalfEven(clamped(scaled, -8, 7)) & 0x0f },
};

/** The scale of a group of zeros, as in compressed-tensors. */
const SCALE_OF_ZEROS = 2 ** -23;
/** A dequantized value may lie a step further out and must stay finite in the scale's type. */
const largest: Readonly<Record<FloatType, number>> = { f32: 3e38, f16: 6e4, bf16: 3e38 };

/** ERR_WEIGHT_VALUE at a value that is not finite. */
export function quantizeRows(args: QuantizeRowsArguments): QuantizedRows {
  const { kind, values, groupSize, scaleType } = args;
  const { divisor, code } = grids[kind];
  const codes = new Uint8Array(values.length);
  const scales = new Float32Array(values.length / groupSize);
  for (let group = 0; group < scales.length; ++group) {
    const begin = group * groupSize;
    const absmax = absmaxOf(args, begin);
    const rounded = roundTo(scaleType, Math.fround(absmax / divisor));
    const scale = rounded === 0 ? SCALE_OF_ZEROS : rounded;
    scales[group] = scale;
    for (let i = begin; i < begin + groupSize; ++i) codes[i] = code(Math.fround(values[i]! / scale));
  }
  return { codes, scales };
}

function absmaxOf(args: QuantizeRowsArguments, begin: number): number {
  const { kind, values, cols, groupSize, scaleType, name, rowBegin } = args;
  const limit = largest[scaleType];
  let absmax = 0;
  for (let i = begin; i < begin + groupSize; ++i) {
    const magnitude = Math.abs(values[i]!);
    if (!(magnitude <= limit))
      throw new EspalierError(
        "ERR_WEIGHT_VALUE",
        `tensor "${name}" [${rowBegin + Math.floor(i / cols)}, ${i % cols}] is ${values[i]}; ` +
          `${kind} with scales in ${scaleType} holds finite values up to ${limit}`,
      );
    absmax = Math.max(absmax, magnitude);
  }
  return absmax;
}
