// SPDX-License-Identifier: Apache-2.0
/**
 * The weight format that holds a quantized weight of a checkpoint whole: same codes, same scales.
 */
import type { QuantizedSource } from "../binding.js";
import type { Activations, CheckpointTensor } from "../checkpoint/index.js";

/** null: no format does; the weight is then packed as floats. */
export function formatOfQuantized({ quantized, activations }: CheckpointTensor): string | null {
  if (quantized === undefined) return null;
  return formats[quantized.type]?.(quantized, activations ?? null) ?? null;
}

type Choose = (quantized: QuantizedSource, activations: Activations | null) => string | null;

/** By codes. */
const formats: Readonly<Record<string, Choose>> = {
  int8: (quantized, activations) => {
    const asymmetric = quantized.zeros ? "-asym" : "";
    const group = groupOf(quantized, [128, 64, 32]);
    if (group !== 0) return group === null ? null : `int8-g${group}${asymmetric}`;
    if (quantized.zeros) return "int8-asym";
    return activations?.type === "int" ? `int8-w8a8${fixed(activations)}` : "int8";
  },
  int4: (quantized) => {
    const group = groupOf(quantized, [128, 64, 32]);
    return group === null ? null : `int4${group === 0 ? "" : `-g${group}`}${quantized.zeros ? "-asym" : ""}`;
  },
  fp8_e4m3: (quantized, activations) => {
    const group = groupOf(quantized, [128, 32]);
    if (group === 32) return "mxfp8";
    if (group === null) return null;
    const rounded = activations?.type === "float" ? `-w8a8${group === 0 ? fixed(activations) : ""}` : "";
    return `fp8_e4m3${group === 0 ? "" : "-g128"}${rounded}`;
  },
  fp8_e5m2: (quantized) => (groupOf(quantized, []) === 0 ? "fp8_e5m2" : null),
  nf4: (quantized) => table4("nf4", quantized),
  fp4: (quantized) => table4("fp4", quantized),
  e2m1: (quantized) => (groupOf(quantized, [32]) === 32 ? "mxfp4" : null),
};

/** With a scale that the checkpoint holds. */
function fixed({ dynamic, strategy }: Activations): "" | "-static" {
  return !dynamic && strategy === "tensor" ? "-static" : "";
}

function table4(id: string, quantized: QuantizedSource): string | null {
  const group = groupOf(quantized, [64, 32]);
  return group === null || group === 0 ? null : `${id}${group === 64 ? "" : "-g32"}`;
}

/** 0: one scale a row; else the largest of `sizes` that divides the weight's own groups; null: none does. */
function groupOf({ cols, colSpan, acrossRows }: QuantizedSource, sizes: readonly number[]): number | null {
  if (!acrossRows && colSpan >= cols) return 0;
  return sizes.find((size) => colSpan % size === 0 && (!acrossRows || cols % size === 0)) ?? null;
}
