import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { specFromConfig } from "../../../src/model/hf-config.js";
import type { LoraConfig, LossTerm, TrainBatch } from "../../../src/train/native-trainer.js";
import { expectWithin } from "../../compare.js";
import { temporaryDirectory } from "../../temporary.js";
import { drawWeights, expectGradient, fixtureOf, floatsOf, modelInFile } from "./fixture.js";
import { drawnModel, trainerConfig } from "./tiny-model.js";

interface StoredCase {
  config: Record<string, unknown>;
  teacher?: Record<string, unknown>;
  losses: LossTerm[];
  lora?: LoraConfig;
  sequences: number;
  length: number;
  tokens: number[];
  labels: number[];
  sums: Record<string, number>;
  total: number;
  gradients: Record<string, string>;
}

const { cases } = fixtureOf<{ cases: Record<string, StoredCase> }>("distillation.json");
const isas = binding.cpuInfo().isas;
const directory = temporaryDirectory();

describe.each(Object.entries(cases))("%s", (name, stored) => {
  const { sequences, length, losses, lora } = stored;
  const batch: TrainBatch = {
    sequences,
    length,
    tokens: Int32Array.from(stored.tokens),
    labels: Int32Array.from(stored.labels),
  };
  const config = trainerConfig(drawnModel(specFromConfig(stored.config, name)), {
    ...{ losses, maxSequences: sequences, sequenceLength: length },
    ...(lora === undefined ? {} : { lora }),
  });

  it.each(isas)("%s gives the losses and gradients of torch", async (isa) => {
    const path = join(directory, `teacher-${isa}.bin`);
    const teacher = stored.teacher && modelInFile(specFromConfig(stored.teacher, name), "teacher.", path);
    const trainer = new binding.NativeTrainer({ ...config, isa, ...(teacher ? { teacher: teacher.model } : {}) });
    teacher?.file.close();
    await drawWeights(trainer);
    const found = await trainer.accumulate(batch);
    for (const [kind, sum] of Object.entries(stored.sums)) expectWithin([found.sums[kind]!], [sum], "train/loss", kind);
    expectWithin([found.sums["total"]!], [stored.total], "train/loss", "total");
    const trainable = trainer.parameters.filter((parameter) => parameter.trainable).map((parameter) => parameter.name);
    expect(trainable.sort()).toEqual(Object.keys(stored.gradients).sort());
    for (const [tensor, text] of Object.entries(stored.gradients))
      expectGradient(await trainer.read(tensor, "gradient"), floatsOf(text), tensor);
    const evaluated = await trainer.evaluate(batch);
    expect(evaluated).toEqual(found);
    await trainer.close();
  });
});
