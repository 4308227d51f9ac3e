import { binding } from "../../../src/binding.js";
import { specFromConfig } from "../../../src/model/hf-config.js";
import type { TrainBatch } from "../../../src/train/native-trainer.js";
import { expectWithin } from "../../compare.js";
import { drawWeights, fixtureOf, floatsOf } from "./fixture.js";
import { drawnModel, trainerConfig } from "./tiny-model.js";

interface StoredRun {
  config: Record<string, unknown>;
  optimizer: { beta1: number; beta2: number; epsilon: number; weightDecay: number; maxGradNorm: number };
  sequences: number;
  length: number;
  batches: { tokens: number[]; labels: number[] }[];
  steps: { learningRate: number; loss: number; gradNorm: number }[];
  weights: Record<string, string>;
}

const { runs } = fixtureOf<{ runs: Record<string, StoredRun> }>("adamw.json");
const isas = binding.cpuInfo().isas;

describe.each(Object.entries(runs))("50 steps of AdamW, %s", (name, run) => {
  const { sequences, length } = run;
  const batches = run.batches.map(({ tokens, labels }): TrainBatch => ({
    sequences,
    length,
    tokens: Int32Array.from(tokens),
    labels: Int32Array.from(labels),
  }));

  it.each(isas)("%s follow torch", async (isa) => {
    const { beta1, beta2, epsilon, weightDecay, maxGradNorm } = run.optimizer;
    const model = drawnModel(specFromConfig(run.config, name));
    const config = trainerConfig(model, {
      maxSequences: sequences,
      sequenceLength: length,
      beta1,
      beta2,
      epsilon,
      isa,
    });
    const trainer = new binding.NativeTrainer(config);
    await drawWeights(trainer);
    for (const [index, step] of run.steps.entries()) {
      let tokens = 0;
      let loss = 0;
      for (const at of [2 * index, 2 * index + 1]) {
        const part = await trainer.accumulate(batches[at % batches.length]!);
        tokens += part.tokens;
        loss += part.sums["total"]!;
      }
      expectWithin([loss], [step.loss], "train/adamw", `loss of step ${String(index)}`);
      const { learningRate } = step;
      const { gradNorm, skipped } = await trainer.update({ tokens, learningRate, weightDecay, maxGradNorm });
      expectWithin([gradNorm], [step.gradNorm], "train/adamw", `norm of step ${String(index)}`);
      expect(skipped).toBe(false);
    }
    for (const [tensor, text] of Object.entries(run.weights))
      expectWithin(await trainer.read(tensor, "weight"), floatsOf(text), "train/adamw", tensor);
    await trainer.close();
  });
});
