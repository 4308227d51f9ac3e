/** Every kind of learning from a teacher, with the native trainer: resumed exactly, logged in parts, and it helps. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readSafetensorsHeader } from "../../../src/checkpoint/safetensors.js";
import { train, type TrainOptions } from "../../../src/train/index.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { readEvents } from "./event-reader.js";
import { expectExactResume, metricsOf } from "./fixtures.js";
import { tinyFields, writeTokenData } from "./token-data.js";

const LAST = join("checkpoints", "step_0000012", "trainer.safetensors");

let root: string;
let common: Omit<TrainOptions, "out">;
const teacherOf: Record<string, string> = {};

beforeAll(async () => {
  root = temporaryDirectory();
  const run = { steps: 12, globalBatch: 8, microBatch: 4, seqLength: 32, lr: 1e-2, threads: 2 };
  const often = { limitValBatches: 1, valCheckInterval: 4, saveInterval: 5 };
  common = { ...run, ...often, data: await writeTokenData(root), split: "90,10,0", config: tinyFields };
  const shapes = {
    same: {},
    wider: { hidden_size: 48, num_attention_heads: 6, num_key_value_heads: 2, num_hidden_layers: 4 },
  };
  for (const [name, fields] of Object.entries(shapes)) {
    const config = { ...tinyFields, ...fields };
    const out = join(root, `teacher ${name}`);
    teacherOf[name] = (await train({ ...common, config, steps: 60, valCheckInterval: 60, out })).model;
  }
});

type Losses = Pick<TrainOptions, "kdLoss" | "intermediateLoss"> & Partial<TrainOptions>;

const kinds: Record<string, { teacher: string } & Losses> = {
  "reverse-kl": { teacher: "same", kdLoss: "reverse-kl" },
  jsd: { teacher: "same", kdLoss: "jsd", jsdBeta: 0.3, temperature: 2, temperatureSquared: true },
  mft: { teacher: "same", kdLoss: "mft", mftThreshold: 0.1, temperature: 1.5 },
  "kl-tail": { teacher: "same", kdLoss: "kl-tail", topK: 4 },
  mse: { teacher: "same", kdLoss: "mse" },
  cosine: { teacher: "same", kdLoss: "cosine" },
  "hidden mse": { teacher: "same", intermediateLoss: "mse" },
  "hidden cosine, static": { teacher: "same", intermediateLoss: "cosine", intermediateBalance: "static" },
  "hidden squarehead alone": {
    teacher: "same",
    intermediateLoss: "squarehead",
    intermediateBalance: "static",
    kdWeight: 0,
  },
  "hidden mse, projected": {
    teacher: "wider",
    intermediateLoss: "mse",
    intermediateBalance: "static",
    intermediateWeight: 10,
  },
  "hidden cosine, projected": { teacher: "wider", intermediateLoss: "cosine" },
  "hidden squarehead, projected, and the data": {
    teacher: "wider",
    intermediateLoss: "squarehead",
    intermediateLayerPairs: [
      [0, 1],
      [1, 3],
      [1, 2],
    ],
    ceWeight: 0.5,
  },
  "adapters, projected": { teacher: "wider", intermediateLoss: "cosine", loraRank: 2 },
};

/** The part of the loss that is weighted most, from the first step to the last. */
const partOf = ({ intermediateLoss }: Losses): "logits_loss" | "intermediate_loss" =>
  intermediateLoss === undefined ? "logits_loss" : "intermediate_loss";

describe.each(Object.entries(kinds))("learning from a teacher by %s", (name, { teacher, ...losses }) => {
  const place = (): string => join(root, name);

  it("is exact after it was stopped", async () => {
    await expectExactResume({ ...common, ...losses, teacher: teacherOf[teacher] }, place());
    const header = await readSafetensorsHeader(join(`${place()} whole`, LAST));
    const projection = header.tensors.flatMap((row) =>
      row.name.includes("projection.") ? [[row.name, row.shape]] : [],
    );
    const parts = ["weight", "moment1", "moment2"];
    const expected = parts.flatMap((part) => [
      [`${part}.distillation.projection.bias`, [48]],
      [`${part}.distillation.projection.weight`, [48, 32]],
    ]);
    expect(new Map(projection as [string, number[]][])).toEqual(
      new Map((teacher === "wider" ? expected : []) as [string, number[]][]),
    );
  });

  it("comes nearer, and logs its parts of training and validation", () => {
    const lines = metricsOf(`${place()} whole`);
    const part = partOf(losses);
    const [first, last] = [lines[0], lines.at(-1)];
    expect(last?.[part]).toBeLessThan((first?.[part] ?? 0) * 0.97);
    const own = ["lm_loss", "kd_loss", "logits_loss"];
    const names = losses.intermediateLoss === undefined ? own : [...own, "intermediate_loss"];
    const parts = (line: object): string[] =>
      Object.keys(line).filter((key) => /^(val_)?(lm|kd|logits|inter)/.test(key));
    for (const line of lines) {
      const validated = line.step % 4 === 0 ? names.map((key) => `val_${key}`) : [];
      expect(parts(line)).toEqual([...names, ...validated]);
      expect(line.kd_loss).toBe(line.loss);
    }
  });
});

describe("learning from a teacher", () => {
  it("adds the parts with their weights", () => {
    const last = (name: string): Record<string, number> =>
      metricsOf(join(root, `${name} whole`)).at(-1) as unknown as Record<string, number>;
    const jsd = last("jsd");
    expect(jsd["loss"]).toBeCloseTo(4 * (jsd["logits_loss"] ?? NaN), 5);
    const heavy = last("hidden mse, projected");
    expect(heavy["loss"]).toBeCloseTo((heavy["logits_loss"] ?? NaN) + 10 * (heavy["intermediate_loss"] ?? NaN), 4);
    const fixed = last("hidden cosine, static");
    expect(fixed["loss"]).toBeCloseTo((fixed["logits_loss"] ?? NaN) + (fixed["intermediate_loss"] ?? NaN), 5);
    const alone = last("hidden squarehead alone");
    expect(alone["loss"]).toBeCloseTo(alone["intermediate_loss"] ?? NaN, 6);
    const scaled = last("hidden mse"); // the hidden states' part is as large as the logits'
    expect(scaled["loss"]).toBeCloseTo(2 * (scaled["logits_loss"] ?? NaN), 5);
    const all = last("hidden squarehead, projected, and the data");
    expect(all["val_loss"]).toBeCloseTo(2 * (all["val_logits_loss"] ?? NaN) + 0.5 * (all["val_lm_loss"] ?? NaN), 5);
  });

  it("is logged for TensorBoard", () => {
    const run = join(root, "hidden mse whole");
    const name = readdirSync(run).find((file) => file.startsWith("events.out.tfevents.")) ?? "";
    const tags = new Set(readEvents(join(run, name)).flatMap((event) => Object.keys(event.scalars)));
    const parts = ["kd_loss", "logits_loss", "intermediate_loss"].flatMap((part) => [part, `val_${part}`]);
    expect([...tags]).toEqual(expect.arrayContaining(parts.flatMap((part) => [part, `${part} vs samples`])));
  });

  it("refuses layers that the models do not have, and another loss than it began with", async () => {
    const teacher = teacherOf["wider"] as string;
    const far = { ...common, teacher, intermediateLoss: "mse", intermediateLayerPairs: [[0, 4]] } as const;
    await expect(train({ ...far, intermediateLayerPairs: [[0, 4]], out: join(root, "far") })).rejects.toThrow(
      coded("ERR_ARGUMENT", "-1:-1 to 1:3, found 0:4"),
    );
    const out = join(root, "hidden cosine, projected whole");
    const resumed = { ...common, teacher, intermediateLoss: "cosine", out } as const;
    await expect(train({ ...resumed, intermediateBalance: "static" })).rejects.toThrow(
      coded("ERR_TRAIN_RESUME", "intermediateBalance"),
    );
    expect((await train(resumed)).resumedFrom).toBe(12);
  });
});
