/** A teacher's largest logits in place of the teacher. */
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import type { LossTerm, TrainBatch, TrainerConfig } from "../../../src/train/native-trainer.js";
import { expectWithin } from "../../compare.js";
import { temporaryDirectory } from "../../temporary.js";
import { drawWeights, modelInFile } from "./fixture.js";
import { drawnModel, progressionBatch, tinySpec, trainerConfig } from "./tiny-model.js";

const isas = binding.cpuInfo().isas;
const vocab = tinySpec.vocabSize;
const directory = temporaryDirectory();

const comparing = ["kl", "reverse_kl", "jsd", "logits_mse", "logits_cosine"] as const;
const termsOf = (topK: number): LossTerm[] => [
  { kind: "cross_entropy", weight: 0.3 },
  ...comparing.map((kind, i): LossTerm => ({ kind, weight: 0.2 * i + 0.2, temperature: 1 + 0.5 * i, topK })),
];

function batchOf(): TrainBatch {
  const batch = progressionBatch(3, 16, vocab);
  batch.labels.fill(-100, 20, 25);
  return { ...batch, documentStarts: Int32Array.from({ length: 48 }, (_, i) => (i % 16 < 6 ? 0 : 6)) };
}

type Change = Partial<TrainerConfig>;

describe("a trainer with a teacher's largest logits", () => {
  it.each(isas)("%s gives the losses and gradients of one with the teacher", async (isa) => {
    const { model: teacher, file } = modelInFile(tinySpec, "teacher.", join(directory, `teacher-${isa}.bin`));
    const config = { ...trainerConfig(drawnModel(tinySpec)), isa };
    const source = new binding.NativeTrainer({ ...config, model: teacher, forwardOnly: true });
    const batch = batchOf();
    const gradients = async (change: Change, given: TrainBatch): Promise<[number, Float32Array]> => {
      const trainer = new binding.NativeTrainer({ ...config, ...change });
      await drawWeights(trainer);
      const { sums } = await trainer.accumulate(given);
      const gradient = await trainer.read("model.layers.0.self_attn.q_proj.weight", "gradient");
      await trainer.close();
      return [sums["total"]!, gradient];
    };
    for (const [topK, top] of [
      [5, 5],
      [5, 12],
      [0, vocab],
    ] as const) {
      const { ids, values, logSumExp } = await source.topLogits(batch, top);
      expect([ids.length, values.length, logSumExp.length]).toEqual([48 * top, 48 * top, 48]);
      const [loss, gradient] = await gradients({ losses: termsOf(topK), teacher }, batch);
      const losses = termsOf(topK === 0 ? vocab : topK);
      const [cachedLoss, cached] = await gradients(
        { losses, teacherTop: top },
        { ...batch, topIds: ids, topValues: values },
      );
      expectWithin([cachedLoss], [loss], "train/loss", `top ${topK} of ${top}`);
      expectWithin(cached, gradient, "train/gradient", `top ${topK} of ${top}`);
    }
    await source.close();
    file.close();
  });

  it("refuses what it cannot compare", async () => {
    const make = (change: Change): unknown =>
      new binding.NativeTrainer({ ...trainerConfig(drawnModel(tinySpec)), ...change });
    const losses = termsOf(5);
    const refused = (change: Change, text: string): void =>
      expect(() => make(change)).toThrow(
        expect.objectContaining({ code: "ERR_ARGUMENT", message: expect.stringContaining(text) }),
      );
    refused({ losses, teacherTop: 4 }, "topK: expected 1 to 4");
    refused({ losses: termsOf(0), teacherTop: 4 }, "topK: expected 1 to 4");
    refused({ losses, teacherTop: vocab + 1 }, `teacherTop: expected 0 to ${vocab}`);
    refused({ losses, teacherTop: 5, teacher: drawnModel(tinySpec) }, "teacher, teacherTop");
    refused({ losses }, "only cross_entropy needs no teacher");
    const hidden: LossTerm = { kind: "hidden_mse", weight: 1, layers: [[0, 0]], dynamicWeight: false };
    refused({ losses: [hidden], teacherTop: 5 }, "hidden states need the teacher itself");
    const mft: LossTerm = { kind: "mft", weight: 1, temperature: 1, topK: 5, threshold: 0.2 };
    refused({ losses: [mft], teacherTop: 5 }, "mft needs all");

    const trainer = new binding.NativeTrainer({ ...trainerConfig(drawnModel(tinySpec)), losses, teacherTop: 5 });
    const batch = progressionBatch(1, 4, vocab);
    const top = { topIds: Int32Array.from({ length: 20 }, (_, i) => i), topValues: new Float32Array(20) };
    const accumulate = async (change: Partial<TrainBatch>): Promise<unknown> =>
      trainer.accumulate({ ...batch, ...change });
    const failure = (code: string, text: string): Error =>
      expect.objectContaining({ code, message: expect.stringContaining(text) }) as Error;
    await expect(accumulate({})).rejects.toThrow(failure("ERR_ARGUMENT", "expected topIds and topValues, 5 a token"));
    await expect(accumulate({ topIds: top.topIds })).rejects.toThrow(
      failure("ERR_SHAPE", "batch.topValues: expected 20"),
    );
    await expect(accumulate({ ...top, topIds: top.topIds.subarray(1) })).rejects.toThrow(
      failure("ERR_SHAPE", "batch.topIds: expected 20 values, found 19"),
    );
    await expect(accumulate({ ...top, topIds: top.topIds.map((id) => id - 1) })).rejects.toThrow(
      failure("ERR_ARGUMENT", "top_ids[0]"),
    );
    expect((await trainer.accumulate({ ...batch, ...top })).tokens).toBe(4);
    const count = async (n: number): Promise<unknown> => trainer.topLogits(batch, n);
    for (const n of [0, vocab + 1, 1.5, NaN])
      await expect(count(n)).rejects.toThrow(failure("ERR_ARGUMENT", `top: expected 1 to ${vocab}`));
    await trainer.close();
    await expect(count(1)).rejects.toThrow(failure("ERR_DISPOSED", "closed"));
  });
});
