/** Kinds of training with the native trainer: each is resumed exactly, and changes what it should change. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { openCheckpoint, readTensor } from "../../../src/checkpoint/index.js";
import { train, type TrainOptions } from "../../../src/train/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { expectExactResume, metricsOf } from "./fixtures.js";
import { writeTinyYaml, writeTokenData } from "./token-data.js";

let root: string;
let common: Omit<TrainOptions, "out">;
/** A model that was trained for a while: teacher, and start of adapters. */
let trained: string;

beforeAll(async () => {
  root = temporaryDirectory();
  common = {
    data: await writeTokenData(root),
    split: "90,10,0",
    steps: 12,
    globalBatch: 8,
    microBatch: 4,
    seqLength: 32,
    lr: 1e-2,
    limitValBatches: 1,
    valCheckInterval: 4,
    saveInterval: 5,
    threads: 2,
  };
  const config = writeTinyYaml(root);
  trained = (await train({ ...common, config, steps: 60, out: join(root, "trained") })).model;
  common = { ...common, model: trained };
});

const kinds: Record<string, () => Partial<TrainOptions>> = {
  everything: () => ({}),
  adapters: () => ({ loraRank: 4, loraTargets: ["q_proj", "down_proj"] }),
  "frozen layers": () => ({ freeze: ["model.layers.0.*", "model.embed_tokens.weight"] }),
  "bf16 activations": () => ({ activations: "bf16" }),
  "checkpointed activations": () => ({ checkpointActivations: true }),
  "attention within documents": () => ({ resetAttention: true }),
  "a teacher": () => ({ model: undefined as never, config: join(root, "tiny.yaml"), teacher: trained, temperature: 2 }),
  "a teacher's largest logits and the data": () => ({ teacher: trained, topK: 8, kdWeight: 0.5, ceWeight: 0.5 }),
};

/** Names of the weights that differ between two models. */
async function changed(before: string, after: string): Promise<string[]> {
  await using a = await openCheckpoint(before);
  await using b = await openCheckpoint(after);
  const names: string[] = [];
  for (const [name, tensor] of a.tensors) {
    const other = b.tensors.get(name);
    if (other === undefined || !isSame(await readTensor(tensor), await readTensor(other))) names.push(name);
  }
  return names;
}

function isSame(a: Float32Array, b: Float32Array): boolean {
  return a.every((value, index) => Object.is(value, b[index]));
}

describe.each(Object.entries(kinds))("training %s", (name, options) => {
  it("is exact after it was stopped", () => expectExactResume({ ...common, ...options() }, join(root, name)));
});

describe("what training changes", () => {
  const model = (name: string): string => join(root, `${name} whole`, "model");

  it("is all weights, those of adapters' targets, or those that are not frozen", async () => {
    const all = await changed(trained, model("everything"));
    expect(await changed(trained, model("adapters"))).toEqual(all.filter((name) => /q_proj|down_proj/.test(name)));
    expect(await changed(trained, model("frozen layers"))).toEqual(all.filter((name) => !/layers\.0|embed/.test(name)));
  });

  it("brings a student near its teacher, and is told in parts", () => {
    const lines = metricsOf(join(root, "a teacher whole"));
    const [first, last] = [lines[0], lines.at(-1)];
    expect(last?.kd_loss).toBeLessThan((first?.kd_loss ?? 0) * 0.9);
    expect(last?.loss).toBe(last?.kd_loss);
    expect(last?.logits_loss).toBeCloseTo(last?.kd_loss ?? NaN, 6);
    expect(last?.val_lm_loss).toBeLessThan(Math.log(32));
    const mixed = metricsOf(join(root, "a teacher's largest logits and the data whole")).at(-1);
    expect(mixed?.loss).toBeCloseTo(0.5 * (mixed?.logits_loss ?? NaN) + 0.5 * (mixed?.lm_loss ?? NaN), 5);
  });

  it("leaves adapters in checkpoints, and a merged model", () => {
    const files = readdirSync(join(root, "adapters whole", "checkpoints", "step_0000012"));
    expect(files).toEqual(expect.arrayContaining(["model.safetensors", "trainer.safetensors"]));
  });
});
