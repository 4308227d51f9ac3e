import { binding, type IsaName } from "../../../src/binding.js";

const simulatedHere = binding.testing["simulated_avx512"]!({}) as boolean;
/** Levels that `npm test` runs through SIMDe after this run. */
const simulatedLater = (process.env["ESPALIER_SIMULATED"] ?? "").split(",");

/** Which levels the tests of this folder cover, and why not the others. */
describe.each<IsaName>(["avx2", "avx512", "avx512_bf16"])("%s kernels", (isa) => {
  if (binding.cpuInfo().isas.includes(isa))
    it(`are tested here${simulatedHere && isa !== "avx2" ? ", through SIMDe" : ""}`, () => {
      expect(binding.cpuInfo().isas).toContain(isa);
    });
  else if (simulatedLater.includes(isa)) it("are tested through SIMDe in the run that follows", () => {});
  else
    it.skip(`skipped: this CPU lacks ${isa}, and SIMDe (Debian: libsimde-dev) is not there to stand in for it`, () => {});
});

if (simulatedHere) it.skip("skipped: the ceilings of AVX-512 measure the CPU; SIMDe has nothing to measure", () => {});
