import { binding } from "../../../src/binding.js";

const { convert_to_f32: toF32, convert_from_f32: fromF32 } = binding.testing;

describe("float conversions", () => {
  it("bf16 widens every bit pattern", () => {
    const source = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const out = new Float32Array(65536);
    expect(toF32!({ from: "bf16", source, out, count: 65536 })).toBe(true);
    const bits = new Uint32Array(out.buffer);
    for (let i = 0; i < 65536; ++i) if (bits[i] !== i * 65536) throw new Error(`bf16 ${i}: ${bits[i]}`);
    expect(fromF32!({ to: "bf16", source: out, out: source, count: 65536 })).toBe(true);
  });
});
