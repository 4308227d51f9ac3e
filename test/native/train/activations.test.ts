import { binding } from "../../../src/binding.js";
import { specFromConfig } from "../../../src/model/hf-config.js";
import { compareNmse } from "../../compare.js";
import { drawWeights, gradientCases } from "./fixture.js";
import { drawnModel, trainerConfig } from "./tiny-model.js";

const isas = binding.cpuInfo().isas;

describe.each(gradientCases())("activations of %s", (name, { config, batch, gradients }) => {
  const model = drawnModel(specFromConfig(config, name));
  const size = { maxSequences: batch.sequences, sequenceLength: batch.length };

  async function gradientsWith(change: object): Promise<Map<string, Float32Array>> {
    const trainer = new binding.NativeTrainer(trainerConfig(model, { ...size, ...change }));
    await drawWeights(trainer);
    await trainer.accumulate(batch);
    const out = new Map<string, Float32Array>();
    for (const tensor of gradients.keys()) out.set(tensor, await trainer.read(tensor, "gradient"));
    await trainer.close();
    return out;
  }

  it.each(isas)("%s: checkpointing gives the same bits", async (isa) => {
    expect(await gradientsWith({ isa, activationCheckpointing: true })).toEqual(await gradientsWith({ isa }));
  });

  it.each(isas)("%s: bfloat16 activations come close, with checkpointing too", async (isa) => {
    for (const activationCheckpointing of [false, true]) {
      const found = await gradientsWith({ isa, activationDtype: "bf16", activationCheckpointing });
      for (const [tensor, expected] of gradients)
        // One token: the gradients of q and k are rounding errors of zero.
        if (expected.some((value) => Math.abs(value) > 1e-9))
          compareNmse(found.get(tensor)!, expected, 1e-3, `${tensor}, checkpointing ${activationCheckpointing}`);
    }
  });
});

describe("memory of activations", () => {
  const spec = specFromConfig(gradientCases()[0]![1].config, "memory");
  const model = drawnModel({ ...spec, numLayers: 12 });
  async function bytesOf(change: object): Promise<number> {
    const trainer = new binding.NativeTrainer(trainerConfig(model, { maxSequences: 8, sequenceLength: 64, ...change }));
    const bytes = trainer.memory["activations"]!;
    await trainer.close();
    return bytes;
  }

  it("shrinks with checkpointing and bfloat16", async () => {
    const plain = await bytesOf({});
    const bf16 = await bytesOf({ activationDtype: "bf16" });
    const checkpointed = await bytesOf({ activationCheckpointing: true });
    const both = await bytesOf({ activationCheckpointing: true, activationDtype: "bf16" });
    expect(bf16).toBeLessThan(0.75 * plain);
    expect(checkpointed).toBeLessThan(0.5 * plain);
    expect(both).toBeLessThan(checkpointed);
  });
});
