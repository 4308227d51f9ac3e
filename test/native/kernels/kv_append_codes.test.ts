// kv_append into a cache of codes: int8 and fp8 with a scale for each token and kv head, against plain arithmetic.
import { binding } from "../../../src/binding.js";
import { compareExact, expectWithin } from "../../compare.js";
import {
  append,
  type Cache,
  codeDtypes,
  elementBytes,
  headBytes,
  makeCache,
  pageTokens,
  scaleBytes,
} from "./kv-cases.js";
import { failureOf, isas, randomArray, unaligned } from "./row-cases.js";

type CodeDtype = (typeof codeDtypes)[number];

const largestCode = { int8: 127, fp8: 448 };
const SMALLEST_NORMAL = 2 ** -126;

/** Values of the e4m3 codes 0 to 0x7e, by the standard's formula. */
const e4m3 = Array.from({ length: 127 }, (_, code) => {
  const [exponent, mantissa] = [code >> 3, code & 7];
  return exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7);
});

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

/** The nearest e4m3 code, of two equally near ones the even; beyond the largest: the largest. */
function nearestE4m3(value: number): number {
  const magnitude = Math.abs(value);
  let best = 0;
  e4m3.forEach((candidate, code) => {
    const [distance, least] = [Math.abs(candidate - magnitude), Math.abs(e4m3[best]! - magnitude)];
    if (distance < least || (distance === least && code % 2 === 0)) best = code;
  });
  return best | (Object.is(value, -0) || value < 0 ? 0x80 : 0);
}

function scaleOf(row: Float32Array, dtype: CodeDtype, fixed?: number): number {
  if (!row.every(Number.isFinite)) return NaN;
  if (fixed !== undefined) return fixed;
  const scale = Math.fround(row.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / largestCode[dtype]);
  return scale < SMALLEST_NORMAL ? 0 : scale;
}

function codeOf(value: number, scale: number, dtype: CodeDtype): number {
  if (!(scale > 0)) return 0;
  const ratio = Math.fround(value / scale);
  if (dtype === "fp8") return nearestE4m3(ratio);
  return roundToEven(Math.min(127, Math.max(-127, ratio))) & 0xff;
}

/** Writes what the page should hold of one row of one kv head. */
function put(
  bytes: Uint8Array,
  place: { page: number; head: number; slot: number; stride: number; transposed: boolean; fixed?: number },
  row: Float32Array,
  dtype: CodeDtype,
): void {
  const base = place.page * place.stride + place.head * headBytes(row.length, dtype);
  const scale = scaleOf(row, dtype, place.fixed);
  new DataView(bytes.buffer).setFloat32(base + 4 * place.slot, scale, true);
  row.forEach((value, d) => {
    const index = place.transposed ? d * pageTokens + place.slot : place.slot * row.length + d;
    bytes[base + scaleBytes(dtype) + index * elementBytes(dtype)] = codeOf(value, scale, dtype);
  });
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

function scalesOf(kvHeads: number, first: number): Float32Array {
  return Float32Array.from({ length: kvHeads }, (_, head) => first * (head + 1));
}

describe.each(codeDtypes)("kv_append, %s cache", (dtype) => {
  for (const fixed of [false, true])
    it.each(isas)(`%s puts every code and scale where the layout says; fixed scales: ${fixed}`, (isa) => {
      for (const [tokens, position, kvHeads, headDim] of shapes) {
        const count = Math.ceil((position + tokens) / pageTokens);
        const pages = Int32Array.from({ length: count }, (_, i) => count - 1 - i);
        const ldkv = kvHeads * headDim + 3;
        const [k, v] = [unaligned(randomArray(tokens * ldkv, 1), 1), unaligned(randomArray(tokens * ldkv, 2), 1)];
        const cache = makeCache(count, kvHeads, headDim, dtype);
        const [keys, values] = [cache.keys.slice(), cache.values.slice()];
        // A third of what absmax would give, so that codes saturate.
        const [kScales, vScales] = [
          scalesOf(kvHeads, 0.3 / largestCode[dtype]),
          scalesOf(kvHeads, 0.4 / largestCode[dtype]),
        ];
        append(cache, { k, v, pages, position, ldkv, ...(fixed ? { kScales, vScales } : {}) }, { isa, threads: 2 });
        for (let token = 0; token < tokens; ++token)
          for (let head = 0; head < kvHeads; ++head) {
            const slot = (position + token) % pageTokens;
            const page = pages[Math.floor((position + token) / pageTokens)]!;
            const begin = token * ldkv + head * headDim;
            const place = { page, head, slot, stride: cache.pageStride };
            const of = (scales: Float32Array) => (fixed ? { fixed: scales[head]! } : {});
            put(keys, { ...place, transposed: true, ...of(kScales) }, k.slice(begin, begin + headDim), dtype);
            put(values, { ...place, transposed: false, ...of(vScales) }, v.slice(begin, begin + headDim), dtype);
          }
        const label = `${isa} ${tokens} at ${position}, ${kvHeads} x ${headDim}`;
        expectWithin(cache.keys, keys, "kv_append/codes", `keys ${label}`);
        expectWithin(cache.values, values, "kv_append/codes", `values ${label}`);
      }
    });

  it.each(isas)("%s rounds ties to even, keeps subnormals and signs of zero", (isa) => {
    const unit = largestCode[dtype];
    const steps =
      dtype === "int8" ? [0.5, 1.5, 2.5, -0.5, -1.5, 126.5] : [2 ** -10, 3 * 2 ** -10, 2 ** -9, 1.0625, 1.1875];
    // The first value makes the scale 1.
    const row = Float32Array.of(unit, ...steps, ...steps.map((value) => -value), 0, -0, 1e-30, 0.3, unit / 3);
    for (const tokens of [1, 8]) {
      const [found, expected] = [makeCache(1, 1, row.length, dtype), makeCache(1, 1, row.length, dtype)];
      const k = new Float32Array(tokens * row.length);
      for (let token = 0; token < tokens; ++token) k.set(row, token * row.length);
      append(found, { k, v: k, pages: Int32Array.of(0), position: 0 }, { isa });
      for (let slot = 0; slot < tokens; ++slot) {
        const place = { page: 0, head: 0, slot, stride: 0 };
        put(expected.keys, { ...place, transposed: true }, row, dtype);
        put(expected.values, { ...place, transposed: false }, row, dtype);
      }
      expectWithin(found.keys, expected.keys, "kv_append/codes", `keys ${isa}`);
      expectWithin(found.values, expected.values, "kv_append/codes", `values ${isa}`);
    }
  });

  it.each(isas)("%s gives zeros the scale 0, and rows that are not finite the scale NaN", (isa) => {
    const rows = [
      [0, 0, -0],
      [NaN, 1, 2],
      [1, -Infinity, 2],
      [1e-38, -1e-38, 1e-45],
      [3e38, -3.4e38, 1],
    ];
    const k = Float32Array.from([...rows, ...rows].flat());
    for (const fixed of [undefined, 0.25]) {
      const scales = fixed === undefined ? {} : { kScales: Float32Array.of(fixed), vScales: Float32Array.of(fixed) };
      const found = makeCache(1, 1, 3, dtype);
      append(found, { k, v: k, pages: Int32Array.of(0), position: 0, ...scales }, { isa });
      for (const bytes of [found.keys, found.values])
        expectWithin(
          new Float32Array(bytes.buffer, 0, rows.length),
          rows.map((row) => scaleOf(Float32Array.from(row), dtype, fixed)),
          "kv_append/codes",
          `scales ${isa}`,
        );
      const codes = rows.map((row) => {
        const scale = scaleOf(Float32Array.from(row), dtype, fixed);
        return row.map((value) => codeOf(value, scale, dtype));
      });
      const values = found.values.subarray(scaleBytes(dtype), scaleBytes(dtype) + 3 * rows.length);
      expectWithin(values, codes.flat(), "kv_append/codes", `codes ${isa}`);
    }
  });

  it("the comparison rejects one code that is off by one", () => {
    const found = makeCache(1, 1, 4, dtype);
    append(found, { k: randomArray(4, 1), v: randomArray(4, 2), pages: Int32Array.of(0), position: 0 });
    const corrupted = found.keys.slice();
    corrupted[scaleBytes(dtype)]! ^= 1;
    expect(() => compareExact(corrupted, found.keys, "codes")).toThrow("codes: at 128");
  });
});

describe("fixed scales", () => {
  it("must be given for both, and be normal numbers above 0", () => {
    const cache: Cache = makeCache(1, 2, 4, "int8");
    const k = new Float32Array(8);
    const good = { ...cache, k, v: k, ldkv: 8, tokens: 1, pages: Int32Array.of(0), position: 0 };
    const kvAppend = binding.testing["kv_append"]!;
    const ones = Float32Array.of(1, 1);
    kvAppend({ ...good, kScales: ones, vScales: ones });
    expect(failureOf(() => kvAppend({ ...good, kScales: ones }))).toEqual({
      code: "ERR_ARGUMENT",
      message: "kv_append: v_scales: expected a pointer, found nullptr",
    });
    for (const [bad, shown] of [
      [0, "0"],
      [-1, "-1"],
      [NaN, "nan"],
      [Infinity, "inf"],
    ] as const)
      expect(failureOf(() => kvAppend({ ...good, kScales: Float32Array.of(1, bad), vScales: ones }))).toEqual({
        code: "ERR_ARGUMENT",
        message: `kv_append: k_scales[1], v_scales[1]: expected numbers above 0, found ${shown} and 1`,
      });
  });
});
