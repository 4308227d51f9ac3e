import { binding } from "../../../src/binding.js";
import { outputsOf } from "./child.js";

/** Calls two operators, each twice. */
const code = `
  const row = new Float32Array(4);
  for (let i = 0; i < 2; ++i) {
    binding.testing.rms_norm({ x: row, ldx: 4, weight: row, out: row, ldo: 4, tokens: 1, hidden: 4, isa });
    binding.testing.swiglu({ gate: row, up: row, out: row, ldIn: 4, ldOut: 4, tokens: 1, width: 4, isa });
  }`;

describe("kernel log", () => {
  it("names each variant once, at the level it runs", () => {
    for (const isa of binding.cpuInfo().isas) {
      const { stderr, stdout } = outputsOf(`const isa = ${JSON.stringify(isa)}; ${code}`, { ESPALIER_LOG: "kernels" });
      // these two have nothing of their own for BF16
      const level = isa === "avx512_bf16" ? "avx512" : isa;
      const lines = stderr.split("\n").filter((line) => line.startsWith("espalier:"));
      expect(lines).toEqual([`espalier: kernel rms_norm_${level}`, `espalier: kernel swiglu_${level}`]);
      expect(stdout).toBe("");
    }
  });

  it("is silent unless asked", () => {
    for (const ESPALIER_LOG of ["", "kernel", "other"])
      expect(outputsOf(`const isa = "ref"; ${code}`, { ESPALIER_LOG }).stderr).not.toContain("espalier: kernel");
  });
});
