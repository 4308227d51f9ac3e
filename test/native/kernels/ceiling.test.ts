import { binding } from "../../../src/binding.js";

const quick = { threads: 1, seconds: 0, bufferBytes: 8 << 20 };

describe("measureCeilings", () => {
  it("measures every level off the event loop", async () => {
    for (const isa of binding.cpuInfo().isas) {
      let ticks = 0;
      const timer = setInterval(() => ++ticks, 1);
      const ceilings = await binding.measureCeilings({ ...quick, isa });
      clearInterval(timer);
      expect(ticks).toBeGreaterThan(0);
      expect(ceilings).toMatchObject({ isa, threads: 1 });
      for (const key of ["readGBps", "copyGBps", "f32Gflops", "bf16Gflops", "int8Gops", "bufferMB"] as const)
        expect(ceilings[key]).toBeGreaterThan(0);
      expect(ceilings.bf16Gflops).toBeGreaterThanOrEqual(ceilings.f32Gflops);
    }
  });

  it("vector levels beat scalar code", async () => {
    const isas = binding.cpuInfo().isas;
    if (isas.length === 1) return void console.log("skipped: this CPU has no vector level");
    const scalar = await binding.measureCeilings({ ...quick, isa: "ref" });
    const vector = await binding.measureCeilings({ ...quick, isa: isas[isas.length - 1]! });
    expect(vector.f32Gflops).toBeGreaterThan(scalar.f32Gflops);
    expect(vector.int8Gops).toBeGreaterThan(scalar.int8Gops);
  });

  it("refuses wrong options", () => {
    const call = (options: object) => () => binding.measureCeilings(options);
    expect(call({ isa: "sse" })).toThrow(expect.objectContaining({ code: "ERR_ISA" }));
    expect(call({ threads: 0 })).toThrow(expect.objectContaining({ code: "ERR_ARGUMENT" }));
    expect(call({ bufferBytes: -1 })).toThrow(expect.objectContaining({ code: "ERR_ARGUMENT" }));
    return expect(binding.measureCeilings({ seconds: NaN })).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
  });
});
