// SPDX-License-Identifier: Apache-2.0
/** Numbers as f32, f16 and bf16, rounded to nearest, ties to even. */
import type { FloatType } from "./tensor-types.js";

interface Layout {
  mantissaBits: number;
  bias: number;
  /** The largest finite magnitude: larger ones become it. */
  largest: number;
}

const f16Layout: Layout = { mantissaBits: 10, bias: 15, largest: 65504 };
const bf16Layout: Layout = { mantissaBits: 7, bias: 127, largest: 3.3895313892515355e38 };

/** A number and a power of two, whose exponents are read and set in the upper words. */
const scratch = new Float64Array(2);
const scratchWords = new Uint32Array(scratch.buffer);
// Adding and taking away 1.5 * 2^52 rounds a small float64 to a whole number, ties to even.
const ROUNDER = 6755399441055744;

/** The nearest whole number, ties to the even one; |value| below 2^51. */
function roundHalfEven(value: number): number {
  return value + ROUNDER - ROUNDER;
}

/** The code of a finite value's magnitude. The sign is the caller's: bits differ by layout. */
function magnitudeCode({ mantissaBits, bias, largest }: Layout, magnitude: number): number {
  scratch[0] = Math.min(magnitude, largest);
  const exponent = Math.max(((scratchWords[1]! >>> 20) & 0x7ff) - 1023, 1 - bias);
  scratchWords[3] = (mantissaBits - exponent + 1023) << 20;
  const units = roundHalfEven(scratch[0] * scratch[1]!);
  // A unit too many carries into the exponent, which is the next power of two's code.
  return ((exponent - (1 - bias)) << mantissaBits) + units;
}

const isNegative = (value: number): boolean => value < 0 || Object.is(value, -0);

export function halfCode(type: "f16" | "bf16", value: number): number {
  const layout = type === "f16" ? f16Layout : bf16Layout;
  return (isNegative(value) ? 0x8000 : 0) | magnitudeCode(layout, Math.abs(value));
}

/** Little-endian bytes of finite values. */
export function encodeFloats(type: FloatType, values: ArrayLike<number>): Uint8Array {
  if (type === "f32") return new Uint8Array(Float32Array.from(values).buffer);
  return new Uint8Array(Uint16Array.from(values, (value) => halfCode(type, value)).buffer);
}
