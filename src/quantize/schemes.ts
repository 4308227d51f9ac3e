// SPDX-License-Identifier: Apache-2.0
/**
 * What `quantize --scheme` may say: a number format, how weights share scales, what happens to activations, and how
 * files keep it. A scheme is a row.
 */
import type { Tap } from "../calibrate/index.js";
import type { Activations } from "../checkpoint/index.js";

export type Grid = "tensor" | "channel" | "group" | "block";

export interface Scheme {
  id: string;
  help: string;
  /** A row of binding.numberFormats(). */
  format: string;
  grid: Grid;
  /** Columns of a group unless told otherwise. */
  groupSize?: number;
  /** What the scheme lets options change. */
  allows: readonly ("groupSize" | "asymmetric" | "doubleQuant" | "grid")[];
  activations: (Activations & { groupSize?: number }) | null;
  /** How files keep it; null: no file format does, weights can only be simulated. */
  stored: { layout: string; method: "compressed-tensors" | "bitsandbytes"; format: string } | null;
}

const perToken = { strategy: "token", dynamic: true } as const;
/** Calibrated. */
const fixed = { strategy: "tensor", dynamic: false } as const;

const compressed = (layout: string, format = layout): Scheme["stored"] => ({
  layout,
  method: "compressed-tensors",
  format,
});
const bitsandbytes: Scheme["stored"] = { layout: "bitsandbytes", method: "bitsandbytes", format: "bitsandbytes" };

const rows: readonly Scheme[] = [
  {
    id: "w8a8",
    help: "int8 weights per channel, int8 activations per token",
    format: "int8",
    grid: "channel",
    allows: ["grid"],
    activations: { type: "int", ...perToken },
    stored: compressed("codes", "int-quantized"),
  },
  {
    id: "w8a8-static",
    help: "int8 weights per channel, int8 activations under one scale a layer, found by --calibration",
    format: "int8",
    grid: "channel",
    allows: ["grid"],
    activations: { type: "int", ...fixed },
    stored: compressed("codes", "int-quantized"),
  },
  {
    id: "w8a16",
    help: "int8 weights per channel, or in groups",
    format: "int8",
    grid: "channel",
    allows: ["groupSize", "asymmetric"],
    activations: null,
    stored: compressed("pack-quantized"),
  },
  {
    id: "w4a16",
    help: "int4 weights in groups of 128",
    format: "int4",
    grid: "group",
    groupSize: 128,
    allows: ["groupSize", "asymmetric"],
    activations: null,
    stored: compressed("pack-quantized"),
  },
  {
    id: "fp8-dynamic",
    help: "e4m3 weights per channel, e4m3 activations per token",
    format: "fp8_e4m3",
    grid: "channel",
    allows: ["grid"],
    activations: { type: "float", ...perToken },
    stored: compressed("codes", "float-quantized"),
  },
  {
    id: "fp8-static",
    help: "e4m3 weights per channel, e4m3 activations under one scale a layer, found by --calibration",
    format: "fp8_e4m3",
    grid: "channel",
    allows: ["grid"],
    activations: { type: "float", ...fixed },
    stored: compressed("codes", "float-quantized"),
  },
  {
    id: "fp8-block",
    help: "e4m3 weights in blocks of 128 x 128, activations per 128 values",
    format: "fp8_e4m3",
    grid: "block",
    allows: [],
    activations: { type: "float", strategy: "group", groupSize: 128, dynamic: true },
    stored: compressed("codes", "float-quantized"),
  },
  {
    id: "fp8",
    help: "e4m3 weights per channel, activations as they are",
    format: "fp8_e4m3",
    grid: "channel",
    allows: ["grid"],
    activations: null,
    stored: compressed("codes", "naive-quantized"),
  },
  {
    id: "nf4",
    help: "bitsandbytes' 4-bit normal float in blocks of 64",
    format: "nf4",
    grid: "group",
    groupSize: 64,
    allows: ["groupSize", "doubleQuant"],
    activations: null,
    stored: bitsandbytes,
  },
  {
    id: "fp4",
    help: "bitsandbytes' 4-bit float in blocks of 64",
    format: "fp4",
    grid: "group",
    groupSize: 64,
    allows: ["groupSize", "doubleQuant"],
    activations: null,
    stored: bitsandbytes,
  },
  {
    id: "mxfp4",
    help: "e2m1 in groups of 32 under a power of two",
    format: "mxfp4",
    grid: "group",
    groupSize: 32,
    allows: [],
    activations: null,
    stored: compressed("mxfp4-pack-quantized"),
  },
  {
    id: "mxfp8",
    help: "e4m3 in groups of 32 under a power of two",
    format: "mxfp8",
    grid: "group",
    groupSize: 32,
    allows: [],
    activations: null,
    stored: compressed("codes", "mxfp8-quantized"),
  },
  {
    id: "nvfp4",
    help: "e2m1 in groups of 16 under an e4m3 scale",
    format: "nvfp4",
    grid: "group",
    groupSize: 16,
    allows: [],
    activations: null,
    stored: compressed("nvfp4-pack-quantized"),
  },
  {
    id: "fp8-e5m2",
    help: "e5m2 weights per channel; --simulate only",
    format: "fp8_e5m2",
    grid: "channel",
    allows: ["grid"],
    activations: null,
    stored: null,
  },
];

export const schemes: ReadonlyMap<string, Scheme> = new Map(rows.map((row) => [row.id, row]));

/** Inputs are quantized with a scale that is known beforehand. */
export function isStatic({ activations }: Scheme): boolean {
  return activations !== null && !activations.dynamic;
}

const taps: Readonly<Record<string, Tap>> = {
  q_proj: "attention_input",
  k_proj: "attention_input",
  v_proj: "attention_input",
  o_proj: "attention_output",
  gate_proj: "mlp_input",
  up_proj: "mlp_input",
  down_proj: "mlp_product",
};

/** Where calibration sees the inputs of a linear layer; undefined: nowhere. */
export function tapOf(role: string): Tap | undefined {
  return Object.hasOwn(taps, role) ? taps[role] : undefined;
}

/** Of a pattern that keeps its weights as they are. */
export const NO_SCHEME = "none";
