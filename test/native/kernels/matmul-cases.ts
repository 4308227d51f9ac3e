/**
 * Inputs and calls shared by the tests of the matmul family.
 */
import { binding, type IsaName } from "../../../src/binding.js";

export const formats = ["f32", "f16", "bf16", "int8", "int8-w8a8"] as const;
export type FormatId = (typeof formats)[number];

/** Formats with an input scale, which weights must come with. */
export const staticFormats: string[] = binding
  .weightFormats()
  .filter(({ inputScale }) => inputScale)
  .map(({ id }) => id);

/** Formats whose columns share scales in groups; every other row of the registry. */
export const groupedFormats: string[] = binding
  .weightFormats()
  .map(({ id }) => id)
  .filter((id) => !(formats as readonly string[]).includes(id) && !staticFormats.includes(id));

/** Under which values beyond 0.6 saturate: the largest code is 127 or 448. */
export const inputScaleOf = (format: string): number => Math.fround(0.6 / (format.startsWith("int8") ? 127 : 448));

/** The same weights and kernels, scales found in every token. */
export const dynamicOf = (format: string): string => format.replace("-static", "");

/** bf16 with the vdpbf16ps kernels, which the registry leaves out where they are slower. */
export const bf16Dot = "bf16-dot";

export const isas: IsaName[] = binding.cpuInfo().isas;

/** Uniform in [-1, 1) from a seeded 32-bit mixer; the same on every machine. */
export function randomArray(length: number, seed: number): Float32Array {
  const out = new Float32Array(length);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let i = 0; i < length; ++i) {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9) >>> 0;
    out[i] = ((state ^ (state >>> 13)) >>> 8) / 2 ** 23 - 1;
  }
  return out;
}

/** A view that starts `offset` floats into its buffer, so that its address is not 64-byte aligned. */
export function unaligned(values: Float32Array, offset: number): Float32Array {
  const view = new Float32Array(values.length + offset).subarray(offset);
  view.set(values);
  return view;
}

export interface Product {
  format: string;
  w: Float32Array;
  n: number;
  k: number;
  /** Of static formats. */
  inputScale?: number;
  bias?: Float32Array;
  out: Float32Array;
  ldo: number;
  accumulate?: boolean;
}

export interface MatmulCall {
  isa?: IsaName;
  threads?: number;
  m: number;
  x: Float32Array;
  ldx: number;
  products: Product[];
  reference?: boolean;
  workspaceMissing?: number;
}

/** Runs matmul; the products' `out` arrays are written. */
export function matmul(call: MatmulCall): void {
  binding.testing["matmul"]!({ ...call });
}

export interface Shape {
  m: number;
  n: number;
  k: number;
}

/** Row strides beyond the width, odd offsets, a bias, outputs filled with a known pattern. */
export function awkwardCall(shape: Shape, format: string, accumulate: boolean, withBias: boolean): MatmulCall {
  const { m, n, k } = shape;
  const ldx = k + 3;
  const ldo = n + 5;
  const product: Product = {
    format,
    w: randomArray(n * k, 1),
    n,
    k,
    out: unaligned(randomArray(m * ldo, 3), 1),
    ldo,
    accumulate,
  };
  if (staticFormats.includes(format)) product.inputScale = inputScaleOf(format);
  if (withBias) product.bias = unaligned(randomArray(n, 4), 3);
  return { m, x: unaligned(randomArray(m * ldx, 2), 1), ldx, products: [product] };
}

/** The same call with outputs of its own. */
export function copyOf(call: MatmulCall): MatmulCall {
  return { ...call, products: call.products.map((p) => ({ ...p, out: unaligned(p.out, 1) })) };
}
