import { binding } from "../../../src/binding.js";
import { specFromConfig } from "../../../src/model/hf-config.js";
import { expectWithin } from "../../compare.js";
import { drawWeights, expectGradient, gradientCases } from "./fixture.js";
import { drawnModel, trainerConfig } from "./tiny-model.js";

const isas = binding.cpuInfo().isas;

describe.each(gradientCases())("gradients of %s", (name, { config, batch, loss, gradients }) => {
  const model = drawnModel(specFromConfig(config, name));
  const size = { maxSequences: batch.sequences, sequenceLength: batch.length };

  it.each(isas)("%s equals torch", async (isa) => {
    const trainer = new binding.NativeTrainer(trainerConfig(model, { ...size, isa }));
    await drawWeights(trainer);
    const losses = await trainer.accumulate(batch);
    expect(losses.tokens).toBe(batch.labels.filter((label) => label !== -100).length);
    expectWithin([losses.sums["cross_entropy"]!], [loss], "train/loss");
    expect(trainer.parameters.map((parameter) => parameter.name).sort()).toEqual([...gradients.keys()].sort());
    for (const [tensor, expected] of gradients)
      expectGradient(await trainer.read(tensor, "gradient"), expected, tensor);
    // A second micro batch adds the same again.
    await trainer.accumulate(batch);
    for (const [tensor, expected] of gradients) {
      const twice = expected.map((value) => 2 * value);
      expectGradient(await trainer.read(tensor, "gradient"), twice, `${tensor} twice`);
    }
    const evaluated = await trainer.evaluate(batch);
    expectWithin([evaluated.sums["total"]!], [loss], "train/loss");
    await trainer.close();
  });
});
