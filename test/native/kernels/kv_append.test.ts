import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { append, elementBytes, floatDtypes, makeCache, pageTokens } from "./kv-cases.js";
import { failureOf, isas, randomArray, unaligned } from "./row-cases.js";

type FloatDtype = (typeof floatDtypes)[number];

/** The cache's bytes as elements widened to f32 (exactly). */
function elementsOf(bytes: Uint8Array, dtype: FloatDtype): Float32Array {
  const count = bytes.length / elementBytes(dtype);
  const out = new Float32Array(count);
  binding.testing["convert_to_f32"]!({ from: dtype, source: bytes, out, count });
  return out;
}

/** What the cache should hold for these values. */
function rounded(values: Float32Array, dtype: FloatDtype): Float32Array {
  const bytes = new Uint8Array(values.length * elementBytes(dtype));
  binding.testing["convert_from_f32"]!({ to: dtype, source: values, out: bytes, count: values.length });
  return elementsOf(bytes, dtype);
}

/** [tokens, position, kvHeads, headDim]: one token, page ends, whole pages, several pages, odd dims, SmolLM2. */
const shapes = [
  [1, 0, 1, 1],
  [1, 31, 2, 5],
  [1, 32, 1, 8],
  [7, 30, 1, 13],
  [8, 8, 2, 16],
  [32, 0, 1, 24],
  [33, 32, 2, 9],
  [70, 13, 3, 64],
] as const;

describe.each(floatDtypes)("kv_append, %s cache", (dtype) => {
  it.each(isas)("%s puts every element where the layout says, and nothing elsewhere", (isa) => {
    for (const [tokens, position, kvHeads, headDim] of shapes) {
      const count = Math.ceil((position + tokens) / pageTokens);
      const pages = Int32Array.from({ length: count }, (_, i) => count - 1 - i);
      const ldkv = kvHeads * headDim + 3;
      const [k, v] = [unaligned(randomArray(tokens * ldkv, 1), 1), unaligned(randomArray(tokens * ldkv, 2), 1)];
      const cache = makeCache(count, kvHeads, headDim, dtype);
      append(cache, { k, v, pages, position, ldkv }, { isa, threads: 2 });
      const stride = cache.pageStride / elementBytes(dtype);
      const unwritten = elementsOf(new Uint8Array(cache.keys.length).fill(0xff), dtype);
      const expected = { keys: unwritten, values: unwritten.slice() };
      const source = { k: rounded(k, dtype), v: rounded(v, dtype) };
      for (let token = 0; token < tokens; ++token)
        for (let head = 0; head < kvHeads; ++head)
          for (let d = 0; d < headDim; ++d) {
            const slot = (position + token) % pageTokens;
            const base = pages[Math.floor((position + token) / pageTokens)]! * stride + head * headDim * pageTokens;
            expected.keys[base + d * pageTokens + slot] = source.k[token * ldkv + head * headDim + d]!;
            expected.values[base + slot * headDim + d] = source.v[token * ldkv + head * headDim + d]!;
          }
      const label = `${isa} ${tokens} at ${position}, ${kvHeads} x ${headDim}`;
      expectWithin(elementsOf(cache.keys, dtype), expected.keys, `kv_append/${dtype}`, `keys ${label}`);
      expectWithin(elementsOf(cache.values, dtype), expected.values, `kv_append/${dtype}`, `values ${label}`);
    }
  });

  it.each(isas)("%s rounds like the scalar conversions: ties, overflow, subnormals, NaN", (isa) => {
    const values = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 65519, 65520, 1e38, -1e38, 2 ** -24];
    const k = Float32Array.of(...values, 2 ** -25, 3 * 2 ** -26, -0, Infinity, -Infinity, NaN, 3.39e38);
    for (const tokens of [1, 16]) {
      const headDim = k.length / tokens;
      const cache = makeCache(1, 1, headDim, dtype);
      append(cache, { k, v: k, pages: Int32Array.of(0), position: 0 }, { isa });
      const elements = elementsOf(cache.keys, dtype);
      const found = Array.from(k, (_, i) => elements[(i % headDim) * pageTokens + Math.floor(i / headDim)]!);
      expectWithin(found, rounded(k, dtype), `kv_append/${dtype}`, isa);
    }
  });
});

describe("kv_append", () => {
  it("refuses wrong arguments by name", () => {
    const cache = makeCache(2, 2, 4, "f32");
    const k = new Float32Array(3 * 8);
    const good = { ...cache, k, v: k, ldkv: 8, tokens: 3, pages: Int32Array.of(0, 1), position: 30 };
    const kvAppend = binding.testing["kv_append"]!;
    kvAppend(good);
    for (const [change, code, message] of [
      [{ dtype: "i8" }, "ERR_ARGUMENT", "kv_append: cache.dtype: expected f32, f16, bf16, int8 or fp8, found 99"],
      [{ tokens: -1 }, "ERR_ARGUMENT", "kv_append: tokens: expected 0 or more, found -1"],
      [{ position: -1 }, "ERR_ARGUMENT", "kv_append: position: expected 0 or more, found -1"],
      [{ kvHeads: 0 }, "ERR_ARGUMENT", "kv_append: cache.kv_heads: expected 1 or more, found 0"],
      [{ ldkv: 7 }, "ERR_SHAPE", "kv_append: ldkv: expected at least the row width 8, found 7"],
      [
        { pageStride: 9 },
        "ERR_SHAPE",
        "kv_append: cache.page_stride_bytes: expected at least the row width 1024, found 9",
      ],
      [{ pages: Int32Array.of(0, -1) }, "ERR_ARGUMENT", "kv_append: pages[1]: expected 0 to 2147483647, found -1"],
      [{ k: null }, "ERR_ARGUMENT", "kv_append: k: expected a pointer, found nullptr"],
      [{ pages: null }, "ERR_ARGUMENT", "kv_append: pages: expected a pointer, found nullptr"],
    ] as const)
      expect(failureOf(() => kvAppend({ ...good, ...change }))).toEqual({ code, message });
    kvAppend({ ...good, tokens: 0, k: null, v: null, pages: null });
  });
});
