// SPDX-License-Identifier: Apache-2.0
/** Element types of ONNX tensors that are written here, and their sizes. */

/** TensorProto.DataType */
export const tensorTypes = {
  f32: 1,
  int8: 3,
  int64: 7,
  bool: 9,
  f16: 10,
  bf16: 16,
  /** float8e4m3fn */
  fp8: 17,
  /** Two in a byte, the first one in the low half. */
  int4: 22,
} as const;

export type TensorType = keyof typeof tensorTypes;

/** What quantized matrices may be stored in. */
export const quantizedKinds = ["int8", "fp8", "int4"] as const;
export type QuantizedKind = (typeof quantizedKinds)[number];

/** What a model computes in. */
export type FloatType = "f32" | "f16" | "bf16";

const bits: Readonly<Record<TensorType, number>> = {
  f32: 32,
  int8: 8,
  int64: 64,
  bool: 8,
  f16: 16,
  bf16: 16,
  fp8: 8,
  int4: 4,
};

export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1);
}

/** Bytes of a tensor as ONNX stores it. */
export function tensorBytes(type: TensorType, dims: readonly number[]): number {
  return Math.ceil((elementCount(dims) * bits[type]) / 8);
}
