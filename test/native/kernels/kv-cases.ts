/**
 * A paged KV cache in JavaScript memory and what is needed to read it back, for the tests of kv_append and attention.
 */
import { binding, type IsaName } from "../../../src/binding.js";
import { randomArray, unaligned } from "./matmul-cases.js";

export const pageTokens = 32;
/** Elements are the values. */
export const floatDtypes = ["f32", "f16", "bf16"] as const;
/** Elements are codes, with a scale for each token and kv head. */
export const codeDtypes = ["int8", "fp8"] as const;
export const cacheDtypes = [...floatDtypes, ...codeDtypes] as const;
export type CacheDtype = (typeof cacheDtypes)[number];

export interface Cache {
  keys: Uint8Array;
  values: Uint8Array;
  pageStride: number;
  kvHeads: number;
  headDim: number;
  dtype: CacheDtype;
}

/** A cache of `pages` pages in which every unwritten element is NaN; pages have a gap behind them. */
export function makeCache(pages: number, kvHeads: number, headDim: number, dtype: CacheDtype): Cache {
  const pageStride = kvHeads * headBytes(headDim, dtype) + 64;
  const fill = () => new Uint8Array(pages * pageStride).fill(0xff);
  return { keys: fill(), values: fill(), pageStride, kvHeads, headDim, dtype };
}

export function elementBytes(dtype: CacheDtype): number {
  return { f32: 4, f16: 2, bf16: 2, int8: 1, fp8: 1 }[dtype];
}

/** Bytes of a page's scales of one kv head, which stand before its elements. */
export function scaleBytes(dtype: CacheDtype): number {
  return dtype === "int8" || dtype === "fp8" ? 4 * pageTokens : 0;
}

/** Bytes of one kv head in a page. */
export function headBytes(headDim: number, dtype: CacheDtype): number {
  return scaleBytes(dtype) + headDim * pageTokens * elementBytes(dtype);
}

/** Appends rows [tokens, kvHeads * headDim] of k and v from `position` on. */
export function append(
  cache: Cache,
  rows: {
    k: Float32Array;
    v: Float32Array;
    pages: Int32Array;
    position: number;
    ldkv?: number;
    /** Fixed scales [kvHeads] of a cache of codes. */
    kScales?: Float32Array;
    vScales?: Float32Array;
  },
  how: { isa?: IsaName; threads?: number; tokens?: number } = {},
): void {
  const ldkv = rows.ldkv ?? cache.kvHeads * cache.headDim;
  binding.testing["kv_append"]!({ ...cache, tokens: Math.floor(rows.k.length / ldkv), ...rows, ldkv, ...how });
}

/** Page ids first .. first + count - 1, last first: a kernel that takes them for consecutive is found out. */
export function reversedPages(first: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => first + count - 1 - i);
}

export interface SequenceShape {
  qLen: number;
  kvLen: number;
}

export interface Sequence extends SequenceShape {
  q: Float32Array;
  out: Float32Array;
  pages: Int32Array;
}

export interface AttentionCall extends Cache {
  sequences: Sequence[];
  heads: number;
  ldq: number;
  ldo: number;
  scale: number;
  causal: boolean;
}

/** A cache filled for these sequences, with queries; values have a mean away from 0 so that errors are relative. */
export function makeAttention(
  shape: { heads: number; kvHeads: number; headDim: number; dtype: CacheDtype; causal?: boolean },
  shapes: readonly SequenceShape[],
): AttentionCall {
  const { heads, kvHeads, headDim } = shape;
  const counts = shapes.map(({ kvLen }) => Math.ceil(kvLen / pageTokens));
  const cache = makeCache(
    counts.reduce((sum, count) => sum + count, 0),
    kvHeads,
    headDim,
    shape.dtype,
  );
  const [ldq, ldo] = [heads * headDim + 5, heads * headDim + 3];
  let first = 0;
  const sequences = shapes.map(({ qLen, kvLen }, index): Sequence => {
    const pages = reversedPages(first, counts[index]!);
    first += counts[index]!;
    const k = randomArray(kvLen * kvHeads * headDim, 3 * index + 1).map((value) => value * 2);
    const v = randomArray(kvLen * kvHeads * headDim, 3 * index + 2).map((value) => value + 0.5);
    append(cache, { k, v, pages, position: 0 });
    const q = unaligned(
      randomArray(qLen * ldq, 3 * index + 3).map((value) => value * 2),
      1,
    );
    return { qLen, kvLen, pages, q, out: unaligned(new Float32Array(qLen * ldo).fill(777), 1) };
  });
  return { ...cache, sequences, heads, ldq, ldo, scale: 1 / Math.sqrt(headDim), causal: shape.causal ?? true };
}

/** Runs attention; returns each sequence's output. */
export function attend(
  call: AttentionCall,
  how: { isa?: IsaName; threads?: number; reference?: boolean },
): Float32Array[] {
  const sequences = call.sequences.map((sequence) => ({ ...sequence, out: sequence.out.slice() }));
  binding.testing["attention"]!({ ...call, sequences, ...how });
  return sequences.map(({ out }) => out);
}
