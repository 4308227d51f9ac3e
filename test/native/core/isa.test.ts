import { binding, type IsaName } from "../../../src/binding.js";
import { inChild } from "./child.js";

const ladder: IsaName[] = ["ref", "avx2", "avx512", "avx512_bf16"];

describe("ISA levels", () => {
  afterEach(() => binding.setIsa("auto"));

  it("lists what runs here, lowest first, and picks the highest", () => {
    const { isas, isa } = binding.cpuInfo();
    expect(isas[0]).toBe("ref");
    expect(isas).toEqual(ladder.slice(0, isas.length));
    if (process.env["ESPALIER_ISA"] === undefined) expect(isa).toBe(isas.at(-1));
  });

  it("can be forced down and back", () => {
    for (const isa of binding.cpuInfo().isas) {
      binding.setIsa(isa);
      expect(binding.cpuInfo().isa).toBe(isa);
    }
    binding.setIsa("auto");
    expect(binding.cpuInfo().isa).toBe(binding.cpuInfo().isas.at(-1));
  });

  it("refuses unknown names and keeps what was set", () => {
    binding.setIsa("ref");
    expect(() => binding.setIsa("sse9" as IsaName)).toThrow(
      expect.objectContaining({
        code: "ERR_ISA",
        message: 'isa: expected ref, avx2, avx512, avx512_bf16 or auto, found "sse9"',
      }),
    );
    expect(binding.cpuInfo().isa).toBe("ref");
  });

  it("follows ESPALIER_ISA", () => {
    for (const isa of binding.cpuInfo().isas)
      expect(
        inChild("binding.testing.isa_environment({}); console.log(binding.cpuInfo().isa)", { ESPALIER_ISA: isa }),
      ).toBe(isa);
  });

  it("reports a bad ESPALIER_ISA as ERR_ISA and runs at the best level", () => {
    const code = `
      try { binding.testing.isa_environment({}); console.log("no error"); }
      catch (error) { console.log(error.code, error.message, binding.cpuInfo().isa); }`;
    expect(inChild(code, { ESPALIER_ISA: "fast" })).toBe(
      `ERR_ISA ESPALIER_ISA: expected ref, avx2, avx512, avx512_bf16 or auto, found "fast" ${binding.cpuInfo().isas.at(-1)}`,
    );
    for (const fine of ["", "auto"]) expect(inChild(code, { ESPALIER_ISA: fine })).toBe("no error");
  });
});
