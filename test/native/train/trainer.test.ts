import { binding } from "../../../src/binding.js";
import { drawnModel, progressionBatch, tinySpec, trainerConfig } from "./tiny-model.js";

const isas = binding.cpuInfo().isas;

describe("NativeTrainer", () => {
  it.each(isas)("%s learns a simple sequence", async (isa) => {
    const trainer = new binding.NativeTrainer(trainerConfig(drawnModel(tinySpec), { isa }));
    const batch = progressionBatch(4, 16, tinySpec.vocabSize);
    const before = await trainer.evaluate(batch);
    expect(before.tokens).toBe(64);
    expect(before.sums["total"]! / before.tokens).toBeCloseTo(Math.log(61), 0);
    for (let step = 0; step < 60; ++step) {
      const { tokens } = await trainer.accumulate(batch);
      const result = await trainer.update({ tokens, learningRate: 1e-2, weightDecay: 0.01, maxGradNorm: 1 });
      expect(result.skipped).toBe(false);
    }
    const after = await trainer.evaluate(batch);
    expect(after.sums["total"]! / after.tokens).toBeLessThan(0.3);
    expect(trainer.step).toBe(60);
    await trainer.close();
    await trainer.close();
  });
});
