import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import type { NativeTrainer, TrainerConfig } from "../../../src/train/native-trainer.js";
import { temporaryDirectory } from "../../temporary.js";
import { drawWeights, modelInFile } from "./fixture.js";
import { drawnModel, progressionBatch, tinySpec, trainerConfig } from "./tiny-model.js";

const isas = binding.cpuInfo().isas;
const batch = progressionBatch(4, 16, tinySpec.vocabSize);
const update = { learningRate: 1e-2, weightDecay: 0.01, maxGradNorm: 1 };
const down = "model.layers.1.mlp.down_proj.weight";

async function withTrainer<T>(change: Partial<TrainerConfig>, use: (trainer: NativeTrainer) => Promise<T>): Promise<T> {
  const trainer = new binding.NativeTrainer(trainerConfig(drawnModel(tinySpec), change));
  try {
    return await use(trainer);
  } finally {
    await trainer.close();
  }
}

async function steps(trainer: NativeTrainer, count: number): Promise<void> {
  for (let step = 0; step < count; ++step) {
    const { tokens } = await trainer.accumulate(batch);
    const { skipped } = await trainer.update({ tokens, ...update });
    expect(skipped).toBe(false);
  }
}

async function weightsOf(trainer: NativeTrainer): Promise<Record<string, Float32Array>> {
  const out: Record<string, Float32Array> = {};
  for (const { name } of trainer.parameters) out[name] = await trainer.read(name, "weight");
  return out;
}

async function failure(work: () => unknown): Promise<{ code: string; message: string }> {
  try {
    await work();
  } catch (error) {
    return { code: (error as { code: string }).code, message: (error as Error).message };
  }
  throw new Error("expected a failure");
}

describe("NativeTrainer", () => {
  it.each(isas)("%s learns a simple sequence", async (isa) => {
    await withTrainer({ isa }, async (trainer) => {
      const before = await trainer.evaluate(batch);
      expect(before.tokens).toBe(64);
      expect(before.sums["total"]! / before.tokens).toBeCloseTo(Math.log(61), 0);
      await steps(trainer, 60);
      const after = await trainer.evaluate(batch);
      expect(after.sums["total"]! / after.tokens).toBeLessThan(0.3);
      expect(trainer.step).toBe(60);
    });
  });

  it("gives the same bits again, and other bits for another seed", async () => {
    const run = (change: Partial<TrainerConfig>) =>
      withTrainer(change, async (trainer) => {
        await steps(trainer, 5);
        return weightsOf(trainer);
      });
    const first = await run({});
    expect(await run({})).toEqual(first);
    expect(await run({ initSeed: 8 })).not.toEqual(first);
  });

  it("goes on from weights and moments that were read to the same bits", async () => {
    const parts = ["weight", "moment1", "moment2"] as const;
    await withTrainer({}, async (trainer) => {
      await steps(trainer, 3);
      await withTrainer({ initSeed: 99 }, async (resumed) => {
        for (const { name } of trainer.parameters)
          for (const part of parts) await resumed.write(name, part, await trainer.read(name, part));
        resumed.step = trainer.step;
        await steps(trainer, 3);
        await steps(resumed, 3);
        expect(await weightsOf(resumed)).toEqual(await weightsOf(trainer));
        expect(resumed.step).toBe(6);
      });
    });
  });

  it("reads weights from files", async () => {
    const { model, file } = modelInFile(tinySpec, "", join(temporaryDirectory(), "weights.bin"));
    const [fromFile, drawn] = [new binding.NativeTrainer(trainerConfig(model)), await drawnTrainer()];
    expect(await weightsOf(fromFile)).toEqual(await weightsOf(drawn));
    file.close();
    await Promise.all([fromFile.close(), drawn.close()]);
  });

  async function drawnTrainer(): Promise<NativeTrainer> {
    const trainer = new binding.NativeTrainer(trainerConfig(drawnModel(tinySpec)));
    await drawWeights(trainer);
    return trainer;
  }

  it.each(isas)(
    "%s holds masks for 1,000 steps",
    async (isa) => {
      await withTrainer({ isa, threads: 1, maxSequences: 1, sequenceLength: 8 }, async (trainer) => {
        const small = progressionBatch(1, 8, tinySpec.vocabSize);
        const names = ["model.embed_tokens.weight", "model.layers.0.self_attn.k_proj.weight", down];
        const masks = new Map<string, Uint8Array>();
        for (const name of names) {
          const { shape } = trainer.parameters.find((parameter) => parameter.name === name)!;
          const bits = Uint8Array.from(
            { length: Math.ceil((shape[0]! * shape[1]!) / 8) },
            (_, i) => (i * 37 + 11) & 255,
          );
          masks.set(name, bits);
          trainer.setMask(name, bits);
        }
        for (let step = 0; step < 1000; ++step) {
          const { tokens } = await trainer.accumulate(small);
          await trainer.update({ tokens, ...update });
        }
        for (const [name, bits] of masks)
          for (const part of ["weight", "moment1", "moment2"] as const) {
            const values = await trainer.read(name, part);
            const masked = values.filter((_, i) => ((bits[i >> 3]! >> (i & 7)) & 1) === 0);
            expect(masked.every((value) => Object.is(value, 0))).toBe(true);
            const kept = values.filter((_, i) => ((bits[i >> 3]! >> (i & 7)) & 1) === 1);
            // Rows of tokens that never occur decay, but stay.
            expect(kept.filter((value) => value !== 0).length).toBeGreaterThan(part === "weight" ? kept.length - 1 : 0);
          }
        const after = await trainer.evaluate(small);
        expect(after.sums["total"]! / after.tokens).toBeLessThan(0.5);
        // Without a mask, masked weights are trained again; written values pass the mask first.
        await trainer.write(down, "weight", new Float32Array(20 * 37).fill(1));
        expect((await trainer.read(down, "weight")).some((value) => value === 0)).toBe(true);
        trainer.setMask(down, null);
        await trainer.write(down, "weight", new Float32Array(20 * 37).fill(1));
        expect((await trainer.read(down, "weight")).every((value) => value === 1)).toBe(true);
      });
    },
    120000,
  );

  it("leaves frozen parameters as they are", async () => {
    const frozen = ["model.embed_tokens.weight", "model.layers.0.input_layernorm.weight", down];
    await withTrainer({ frozen }, async (trainer) => {
      const before = await weightsOf(trainer);
      await steps(trainer, 3);
      const after = await weightsOf(trainer);
      for (const { name, trainable } of trainer.parameters) {
        expect(trainable).toBe(!frozen.includes(name));
        if (trainable) expect(after[name]).not.toEqual(before[name]);
        else expect(after[name]).toEqual(before[name]);
      }
      const found = await failure(() => trainer.read(down, "gradient"));
      expect(found).toEqual({ code: "ERR_ARGUMENT", message: `${down} is frozen: it has a weight only` });
    });
  });

  it("trains only the layers above the frozen ones to the same gradients", async () => {
    const lower = trainerConfig(drawnModel(tinySpec)).model.tensors.map((tensor) => tensor.name);
    const frozen = lower.filter((name) => !name.includes("layers.1."));
    const name = "model.layers.1.self_attn.q_proj.weight";
    const gradient = (change: Partial<TrainerConfig>) =>
      withTrainer(change, async (trainer) => {
        await trainer.accumulate(batch);
        return trainer.read(name, "gradient");
      });
    expect(await gradient({ frozen })).toEqual(await gradient({}));
  });

  it("skips an update whose gradients are not finite", async () => {
    await withTrainer({}, async (trainer) => {
      await steps(trainer, 1);
      const before = await weightsOf(trainer);
      const { tokens } = await trainer.accumulate(batch);
      const gradient = await trainer.read(down, "gradient");
      gradient[3] = NaN;
      await trainer.write(down, "gradient", gradient);
      const result = await trainer.update({ tokens, ...update });
      expect(result.skipped).toBe(true);
      expect(Number.isFinite(result.gradNorm)).toBe(false);
      expect(trainer.step).toBe(1);
      expect(await weightsOf(trainer)).toEqual(before);
      expect((await trainer.read(down, "gradient")).every((value) => value === 0)).toBe(true);
      await steps(trainer, 1);
    });
  });

  it("merges adapters into what the model computes", async () => {
    const lora = { rank: 4, alpha: 8, targets: ["q_proj", "down_proj"] };
    await withTrainer({ lora }, async (trainer) => {
      const names = trainer.parameters.map((parameter) => parameter.name);
      expect(names).toContain("model.layers.1.mlp.down_proj.lora_A.weight");
      const before = await weightsOf(trainer);
      const fresh = await trainer.evaluate(batch);
      expect(await trainer.merged(down)).toEqual(before[down]);
      await steps(trainer, 20);
      const trained = await trainer.evaluate(batch);
      expect(trained.sums["total"]).toBeLessThan(fresh.sums["total"]! - 1);
      expect(await trainer.read(down, "weight")).toEqual(before[down]);
      expect(await trainer.merged(down)).not.toEqual(before[down]);
      await withTrainer({}, async (plain) => {
        for (const { name } of plain.parameters) await plain.write(name, "weight", await trainer.merged(name));
        expect((await plain.evaluate(batch)).sums["total"]).toBeCloseTo(trained.sums["total"]!, 3);
      });
    });
  });

  it.each(isas)("%s: products see weights as a hook gives them", (isa) => {
    const hook = binding.testing["train_hook"]!;
    for (const [name, other] of [
      ["q_proj", "v_proj"],
      ["down_proj", "gate_proj"],
    ])
      for (const withGradient of [false, true])
        expect(hook({ name, other, withGradient, isa, threads: 2 })).toBeLessThan(1e-5);
  });
});

describe("wrong use of NativeTrainer", () => {
  it("refuses configs by name", async () => {
    const model = drawnModel(tinySpec);
    const without = (name: string) => ({ ...model, tensors: model.tensors.filter((tensor) => tensor.name !== name) });
    const twice = { ...model, tensors: [...model.tensors, model.tensors[0]!] };
    const kl = { kind: "kl", weight: 1, temperature: 1, topK: 0 } as const;
    const hidden = { kind: "hidden_mse", weight: 1, layers: [[2, 0]], dynamicWeight: false } as const;
    const otherVocab = drawnModel({ ...tinySpec, vocabSize: 60 });
    for (const [change, code, message] of [
      [{ maxSequences: 0 }, "ERR_ARGUMENT", "maxSequences, sequenceLength: expected at least 1"],
      [{ losses: [] }, "ERR_ARGUMENT", "losses: expected at least one term"],
      [{ losses: [kl] }, "ERR_ARGUMENT", "losses: only cross_entropy needs no teacher"],
      [
        { losses: [kl], teacher: otherVocab },
        "ERR_ARGUMENT",
        "losses: teacher and model have vocabularies of 60 and 61 tokens",
      ],
      [{ losses: [hidden], teacher: model }, "ERR_ARGUMENT", "losses: layers: [2, 0] is not one of [-1 to 1, -1 to 1]"],
      [{ beta2: 1 }, "ERR_ARGUMENT", "beta1, beta2: expected 0 to below 1; epsilon: above 0"],
      [{ frozen: ["model.nothing"] }, "ERR_ARGUMENT", 'frozen: the model has no parameter "model.nothing"'],
      [
        { lora: { rank: 2, alpha: 1, targets: ["norm"] } },
        "ERR_ARGUMENT",
        'lora: targets: no linear layer has the role "norm"',
      ],
      [{ lora: { rank: 0, alpha: 1, targets: ["q_proj"] } }, "ERR_ARGUMENT", "lora: rank: expected at least 1"],
      [{ activationDtype: "f16" as "f32" }, "ERR_ARGUMENT", 'activationDtype: expected f32 or bf16, found "f16"'],
      [{ model: without(down) }, "ERR_CHECKPOINT_TENSORS", "1/down_proj.weight: missing"],
      [{ model: twice }, "ERR_CHECKPOINT_TENSORS", "model.embed_tokens.weight: given twice"],
    ] as [Partial<TrainerConfig>, string, string][])
      expect(await failure(() => new binding.NativeTrainer(trainerConfig(model, change)))).toEqual({ code, message });
  });

  it("refuses batches by name, and goes on", async () => {
    await withTrainer({}, async (trainer) => {
      const tokens = batch.tokens.slice();
      tokens[5] = 61;
      const labels = batch.labels.slice();
      labels[7] = -1;
      const documentStarts = new Int32Array(64);
      documentStarts[18] = 3;
      for (const [change, code, message] of [
        [{ tokens }, "ERR_TOKEN_ID", "tokens[5]: expected 0 <= id < 61, found 61"],
        [{ labels }, "ERR_TOKEN_ID", "labels[7]: expected 0 <= id < 61 or -100, found -1"],
        [{ tokens: new Int32Array(3) }, "ERR_SHAPE", "batch.tokens: expected 64 values, found 3"],
        [
          { sequences: -4, length: -16 },
          "ERR_SHAPE",
          "batch: expected 1 to 4 sequences of 1 to 16 tokens, found -4 of -16",
        ],
        [{ documentStarts }, "ERR_ARGUMENT", "documentStarts[18]: expected 0 to 2, the token's own place, found 3"],
      ] as const)
        expect(await failure(() => trainer.accumulate({ ...batch, ...change }))).toEqual({ code, message });
      const long = progressionBatch(2, 17, 61);
      expect((await failure(() => trainer.evaluate(long))).code).toBe("ERR_SHAPE");
      expect((await failure(() => trainer.update({ ...update, tokens: 0 }))).message).toBe(
        "tokens: expected at least 1, found 0",
      );
      expect((await failure(() => trainer.read("nothing", "weight"))).message).toBe(
        'the model has no parameter "nothing"',
      );
      expect((await failure(() => trainer.write(down, "weight", new Float32Array(3)))).message).toBe(
        `${down}: expected 740 values, found 3`,
      );
      expect((await failure(() => trainer.setMask(down, new Uint8Array(3)))).message).toBe(
        `mask of ${down}: expected 93 bytes, found 3`,
      );
      await steps(trainer, 1);
    });
  });

  it("reports weights that cannot be read with the first call", async () => {
    const { model, file } = modelInFile(tinySpec, "", join(temporaryDirectory(), "weights.bin"));
    const first = model.tensors[0]!;
    const wrong = { ...first, source: { ...first.source!, rows: 20, cols: 61 } };
    const tensors = [wrong, ...model.tensors.slice(1)];
    expect(await failure(() => new binding.NativeTrainer(trainerConfig({ ...model, tensors })))).toEqual({
      code: "ERR_SHAPE",
      message: "model.embed_tokens.weight: expected [61, 20], found [20, 61]",
    });
    file.close();
  });

  it("settles what is under way before it closes, and refuses what comes after", async () => {
    const trainer = new binding.NativeTrainer(trainerConfig(drawnModel(tinySpec)));
    const work = [trainer.accumulate(batch), trainer.update({ ...update, tokens: 64 }), trainer.evaluate(batch)];
    await trainer.close();
    await expect(Promise.all(work)).resolves.toHaveLength(3);
    expect(await failure(() => trainer.accumulate(batch))).toEqual({
      code: "ERR_DISPOSED",
      message: "the trainer is closed",
    });
    await trainer.close();
  });
});
