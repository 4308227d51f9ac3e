import { binding } from "../../../src/binding.js";
import { compareExact } from "../../compare.js";

const { convert_to_f32: toF32, convert_from_f32: fromF32 } = binding.testing;
const sweep = binding.testing["sweep_from_f32"]!;
const sweepHardware = binding.testing["sweep_f16_hardware"]!;

const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
const allPatterns = 2 ** 32;
const exhaustive = process.env["ESPALIER_EXHAUSTIVE"] === "1";

function widen(from: "f16" | "bf16"): Float32Array {
  const out = new Float32Array(65536);
  expect(toF32!({ from, source: patterns, out, count: 65536 })).toBe(true);
  return out;
}

/** Value of an f16 bit pattern by the definition of IEEE 754 binary16. */
function f16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, mantissa] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** f32 bit patterns two units around every point where rounding to 16 bits changes, one list per format. */
function boundaries(to: "f16" | "bf16"): Uint32Array {
  const widened = widen(to);
  const infinity = to === "f16" ? 0x7c00 : 0x7f80;
  const bits: number[] = [];
  const word = new Uint32Array(1);
  const float = new Float32Array(word.buffer);
  for (let i = 0; i < infinity; ++i) {
    float[0] = i + 1 < infinity ? (widened[i]! + widened[i + 1]!) / 2 : 1.5 * widened[i]! - 0.5 * widened[i - 1]!;
    for (let offset = -2; offset <= 2; ++offset) if (word[0]! + offset >= 0) bits.push(word[0]! + offset);
  }
  return Uint32Array.from([...bits, ...bits.map((value) => value + 0x80000000)]);
}

describe("float conversions, 16 bits to f32", () => {
  it("f16 widens every bit pattern as binary16 defines", () => {
    const out = widen("f16");
    compareExact(out, Float32Array.from(patterns, f16Value), "f16");
    const bits = new Uint32Array(out.buffer);
    for (let i = 0; i < 65536; ++i)
      if (Number.isNaN(out[i]))
        expect(bits[i]).toBe((((i & 0x8000) << 16) | 0x7f800000 | (((i & 1023) | 512) << 13)) >>> 0);
  });

  it("bf16 widens every bit pattern", () => {
    compareExact(
      new Uint32Array(widen("bf16").buffer),
      Uint32Array.from(patterns, (i) => i * 65536),
      "bf16",
    );
  });

  it.each(["f16", "bf16"] as const)("%s comes back from f32 unchanged, every bit pattern", (to) => {
    const back = new Uint16Array(65536);
    expect(fromF32!({ to, source: widen(to), out: back, count: 65536 })).toBe(true);
    const quiet = to === "f16" ? 0x200 : 0x40;
    compareExact(
      back,
      Uint16Array.from(widen(to), (value, i) => (Number.isNaN(value) ? i | quiet : i)),
      to,
    );
  });
});

describe("float conversions, f32 to 16 bits", () => {
  // Rounding is a step function: right on both sides of every step and at a sample between, it is right everywhere.
  it.each(["f16", "bf16"] as const)("%s rounds to nearest even around every step", (to) => {
    const bits = boundaries(to);
    expect(bits.length).toBeGreaterThan(300000);
    let wrong = 0;
    for (const begin of bits) wrong += sweep({ to, begin, end: begin + 1 }) as number;
    expect(wrong).toBe(0);
  });

  it.each(["f16", "bf16"] as const)("%s rounds to nearest even at every 1021st of the 2^32 patterns", (to) => {
    expect(sweep({ to, begin: 0, end: allPatterns, stride: 1021 })).toBe(0);
  });

  it("f16 equals the CPU's conversion, NaN payloads included, at every 67th pattern", () => {
    const wrong = sweepHardware({ begin: 0, end: allPatterns, stride: 67 });
    if (wrong === -1) console.log("skipped: this CPU has no F16C");
    else expect(wrong).toBe(0);
  });

  (exhaustive ? it : it.skip)(
    "slow (set ESPALIER_EXHAUSTIVE=1): all 2^32 patterns, f16 by the CPU and bf16 by search",
    () => {
      expect(sweepHardware({ begin: 0, end: allPatterns })).toBeLessThanOrEqual(0);
      expect(sweep({ to: "bf16", begin: 0, end: allPatterns })).toBe(0);
    },
    900000,
  );

  it("refuses pairs that are not supported", () => {
    expect(toF32!({ from: "i32", source: new Int32Array(1), out: new Float32Array(1), count: 1 })).toBe(false);
    expect(fromF32!({ to: "i8", source: new Float32Array(1), out: new Int8Array(1), count: 1 })).toBe(false);
  });
});
