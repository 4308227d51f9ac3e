/** Teacher correction and chains as published, with train and distill alone. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openCheckpoint, fingerprintOf } from "../../../src/checkpoint/index.js";
import { distill } from "../../../src/distill/index.js";
import { prune } from "../../../src/prune/index.js";
import { train } from "../../../src/train/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { metricsOf } from "../train/fixtures.js";
import { tinyFields, writeTokenData } from "../train/token-data.js";

const root = temporaryDirectory();
const place = (name: string): string => join(root, name);
const shared = { globalBatch: 4, seqLength: 32, limitValBatches: 2, threads: 2, split: "90,10,0" } as const;
const PEAK = 1e-2;
let data: string;
let teacher: string;

beforeAll(async () => {
  data = await writeTokenData(root);
  const config = { ...tinyFields, num_hidden_layers: 4 };
  teacher = (await train({ ...shared, config, data, steps: 60, lr: PEAK, out: place("teacher") })).model;
});

const fingerprint = async (path: string): Promise<string> => {
  await using model = await openCheckpoint(path);
  return fingerprintOf(model);
};

interface Lineage {
  parent: { fingerprint: string };
  teacher: { fingerprint: string };
}
const lineageOf = (model: string): Lineage => JSON.parse(readFileSync(join(model, "espalier.json"), "utf8")) as Lineage;

it("a teacher is corrected by 120 steps of warm-up to a fifth of its rate (arXiv 2408.11796)", async () => {
  const lr = PEAK / 5;
  const options = { ...shared, data, lr, minLr: lr / 100, warmup: 120, steps: 130, valCheckInterval: 130 };
  const { model, valLoss } = await train({ model: teacher, ...options, out: place("corrected") });
  const rates = metricsOf(place("corrected")).map((line) => line.learning_rate);
  expect(rates[0]).toBeCloseTo(lr / 120, 9);
  expect(rates[119]).toBeCloseTo(lr, 9);
  expect(rates[129]).toBeLessThan(lr / 2);
  expect(valLoss).toBeLessThan(metricsOf(place("teacher")).at(-1)!.val_loss!);
  expect(lineageOf(model).parent.fingerprint).toBe(await fingerprint(teacher));
});

it("a distilled model teaches the next smaller one", async () => {
  const learn = { ...shared, data, steps: 40, lr: 5e-3, valCheckInterval: 40 } as const;
  let source = teacher;
  for (const layers of [3, 2]) {
    const student = place(`pruned to ${layers}`);
    await prune({ model: source, dropLayers: String(layers), out: student });
    const run = place(`distilled to ${layers}`);
    const { model } = await distill({ ...learn, teacher: source, student, out: run });
    const lines = metricsOf(run);
    expect(lines.at(-1)!.logits_loss).toBeLessThan(lines[0]!.logits_loss! / 2);
    const lineage = lineageOf(model);
    expect(lineage.teacher.fingerprint).toBe(await fingerprint(source));
    expect(lineage.parent.fingerprint).toBe(await fingerprint(student));
    source = model;
  }
  await using last = await openCheckpoint(source);
  expect(last.spec.numLayers).toBe(2);
});
