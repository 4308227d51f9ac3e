import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { openCheckpoint, readTensor } from "../../../src/checkpoint/index.js";
import type { TrainProgress } from "../../../src/train/index.js";
import { learningRate } from "../../../src/train/schedule.js";
import { coded, tinyConfig, writeTinyDirectory } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { quantizedModel } from "../checkpoint/quantized/fixtures.js";
import { readEvents } from "./event-reader.js";
import { checkpointsOf, metricsOf, runToy, smallRun, weightsOf } from "./fixtures.js";
import type { ToyTrainer } from "./toy-trainer.js";

const newRun = (): string => join(temporaryDirectory(), "run");

describe("train", () => {
  it("learns, and leaves a model, checkpoints, logs and a report", async () => {
    const out = newRun();
    const { result, parts } = await runToy(out, { steps: 60 });
    const lines = metricsOf(out);
    expect(lines.map((line) => line.step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    expect(result.loss).toBeLessThan((lines[0]?.loss ?? 0) * 0.7);
    expect(result).toMatchObject({
      steps: 60,
      consumedSamples: 240,
      consumedTokens: 240 * 7,
      skipped: 0,
      resumedFrom: null,
    });
    expect(
      readdirSync(out)
        .filter((name) => !name.startsWith("events"))
        .sort(),
    ).toEqual(["checkpoints", "metrics.jsonl", "model", "recipe.yaml", "report.html", "report.json"]);
    await using checkpoint = await openCheckpoint(result.model);
    const embedding = checkpoint.tensors.get("model.embed_tokens.weight");
    if (embedding === undefined) throw new Error("no embedding");
    const [trainer] = parts.trainers;
    expect(await readTensor(embedding)).toEqual(await trainer?.read("model.embed_tokens.weight", "weight"));
    expect(trainer?.closed).toBe(true);
    expect(JSON.parse(readFileSync(join(result.model, "espalier.json"), "utf8"))).toMatchObject({
      step: "train",
      parent: null,
      metrics: { steps: 60, samples: 240 },
    });
  });

  it("updates once a step with the tokens of the whole global batch, at the schedule's rate", async () => {
    const { parts } = await runToy(newRun(), { schedule: "linear" });
    const { updates } = parts.trainers[0] ?? { updates: [] };
    const schedule = { name: "linear", peak: 0.05, minimum: 0.005, warmupSteps: 3, steps: 12, decaySteps: 12 } as const;
    expect(updates).toEqual(
      Array.from({ length: 12 }, (_, i) => ({
        tokens: 4 * 7,
        learningRate: learningRate(schedule, i + 1),
        weightDecay: 0.1,
        maxGradNorm: 1,
      })),
    );
  });

  it("gives the same whatever the micro batch, but for rounding", async () => {
    const losses = [];
    for (const microBatch of [1, 2, 4]) losses.push((await runToy(newRun(), { microBatch })).result.loss ?? NaN);
    for (const loss of losses) expect(loss).toBeCloseTo(losses[0] ?? 0, 4);
  });

  it("validates on the same samples at its interval and at the end", async () => {
    const out = newRun();
    await runToy(out, { steps: 10 });
    const validated = metricsOf(out).filter((line) => line.val_loss !== undefined);
    expect(validated.map((line) => line.step)).toEqual([4, 8, 10]);
    const none = newRun();
    const { result } = await runToy(none, {}, { validation: false });
    expect(result.valLoss).toBeNull();
  });

  it("logs for TensorBoard by step and by samples", async () => {
    const out = newRun();
    await runToy(out);
    const name = readdirSync(out).find((file) => file.startsWith("events.out.tfevents.")) ?? "";
    const events = readEvents(join(out, name));
    const bySteps = events.filter((event) => "loss" in event.scalars);
    const bySamples = events.filter((event) => "loss vs samples" in event.scalars);
    expect(bySteps.map((event) => event.step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    expect(bySamples.map((event) => event.step)).toEqual(Array.from({ length: 12 }, (_, i) => 4 * (i + 1)));
    expect(Object.keys(bySteps[3]?.scalars ?? {})).toEqual([
      "loss",
      "val_loss",
      "learning-rate",
      "grad-norm",
      "tokens/s",
    ]);
    for (const [index, line] of metricsOf(out).entries())
      expect(bySteps[index]?.scalars["loss"]).toBe(Math.fround(line.loss ?? NaN));
  });

  it("keeps the best checkpoints and the last one", async () => {
    const out = newRun();
    await runToy(out, { saveInterval: 1, valCheckInterval: 1, saveTopK: 2 });
    const losses = metricsOf(out).map((line) => line.val_loss ?? NaN);
    const best = [...losses.keys()].sort((a, b) => (losses[a] ?? 0) - (losses[b] ?? 0) || b - a).slice(0, 2);
    const kept = [...new Set([...best, 11])].sort((a, b) => a - b).map((i) => `step_${String(i + 1).padStart(7, "0")}`);
    expect(checkpointsOf(out)).toEqual(kept);
    const last = newRun();
    await runToy(last, { saveInterval: 1, saveTopK: 0 });
    expect(checkpointsOf(last)).toEqual(["step_0000012"]);
  });

  it("goes on with a model, freezing what it is told to", async () => {
    const root = temporaryDirectory();
    const model = writeTinyDirectory(join(root, "model"));
    const out = join(root, "run");
    const { config: _config, ...rest } = smallRun;
    const { parts } = await runToy(out, { ...rest, config: undefined as never, model, freeze: ["*norm*", "*.mlp.*"] });
    const frozen = parts.trainers[0]?.parameters.filter((parameter) => !parameter.trainable).map(({ name }) => name);
    expect(frozen).toHaveLength(3 + 3);
    const lineage = JSON.parse(readFileSync(join(out, "model", "espalier.json"), "utf8")) as Record<string, unknown>;
    expect(lineage["parent"]).toMatchObject({ name: "model", format: "safetensors" });
    const refused = newRun();
    await expect(runToy(refused, { freeze: ["*nothing*"] })).rejects.toThrow(coded("ERR_ARGUMENT", "*nothing*"));
    await expect(runToy(refused, { loraRank: 1e6 })).rejects.toThrow(
      coded("ERR_ARGUMENT", "loraRank: expected at most"),
    );
    await expect(runToy(refused, { topK: 33 })).rejects.toThrow(coded("ERR_ARGUMENT", "topK"));
    expect(existsSync(refused)).toBe(false);
  });

  it("reports what happens", async () => {
    const seen: TrainProgress[] = [];
    await runToy(newRun(), {}, { validation: false }, { onProgress: (event) => seen.push(event) });
    const kinds = seen.map((event) => event.kind);
    expect(kinds.filter((kind) => kind === "step")).toHaveLength(12);
    expect(kinds.filter((kind) => kind === "saved")).toHaveLength(4);
    expect(kinds.slice(0, 2)).toEqual(["noTokenizer", "noValidation"]);
  });

  it("says that a quantized model is trained as floats", async () => {
    const seen: TrainProgress[] = [];
    const { config: _config, ...rest } = smallRun;
    const given = { ...rest, config: undefined as never, model: quantizedModel("int4-g32") };
    const { result } = await runToy(newRun(), given, {}, { onProgress: (event) => seen.push(event) });
    expect(seen).toContainEqual({ kind: "quantized", path: quantizedModel("int4-g32") });
    await using checkpoint = await openCheckpoint(result.model);
    expect([...checkpoint.tensors.values()].filter(({ type }) => type !== "f32")).toEqual([]);
    expect(checkpoint.config).not.toHaveProperty("quantization_config");
  });
});

describe("train, wrong use", () => {
  it("names the option and what is wrong with it", async () => {
    const cases: [object, string][] = [
      [{ steps: 0 }, "steps"],
      [{ microBatch: 3 }, "microBatch"],
      [{ minLr: 1 }, "minLr"],
      [{ warmup: 13 }, "warmup"],
      [{ schedule: "wsd", decaySteps: 10 }, "decaySteps"],
      [{ schedule: "constant", decaySteps: 3 }, "decaySteps"],
      [{ loraAlpha: 3 }, "loraAlpha: expected a loraRank"],
      [{ schedule: "cosin" }, "schedule"],
      [{ lr: Infinity }, "lr"],
      [{ beta1: 1 }, "beta1"],
      [{ stepz: 3 }, "stepz"],
      [{ seqLength: 65 }, "seqLength"],
      [{ ceWeight: 0 }, "ceWeight"],
      [{ model: "x" }, "both"],
      [{ overwrite: true, resume: false }, "overwrite"],
      [{ teacher: "nowhere" }, "nowhere"],
    ];
    for (const [change, text] of cases) {
      const out = newRun();
      await expect(runToy(out, change)).rejects.toThrow(text);
      expect(existsSync(out)).toBe(false);
    }
  });

  it("refuses a teacher of another vocabulary", async () => {
    const teacher = writeTinyDirectory(join(temporaryDirectory(), "teacher"), { ...tinyConfig, vocab_size: 48 });
    await expect(runToy(newRun(), { teacher })).rejects.toThrow(coded("ERR_ARGUMENT", "vocabulary"));
  });

  it("touches no directory that holds no run", async () => {
    const out = temporaryDirectory();
    writeFileSync(join(out, "mine.txt"), "mine");
    for (const overwrite of [false, true])
      await expect(runToy(out, { overwrite })).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", out));
    expect(readdirSync(out)).toEqual(["mine.txt"]);
    writeFileSync(join(out, "file"), "");
    await expect(runToy(join(out, "file"))).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", "file"));
  });

  it("with --no-resume refuses a run that is there; with --overwrite removes only what is the run's", async () => {
    const out = newRun();
    await runToy(out);
    const before = weightsOf(out);
    await expect(runToy(out, { resume: false })).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", out));
    expect(weightsOf(out)).toEqual(before);
    writeFileSync(join(out, "notes.txt"), "mine");
    await runToy(out, { overwrite: true, seed: 7 });
    expect(weightsOf(out)).not.toEqual(before);
    expect(readFileSync(join(out, "notes.txt"), "utf8")).toBe("mine");
    expect(metricsOf(out)).toHaveLength(12);
  });

  it("lets one process at a time work on a run", async () => {
    const out = newRun();
    const lock = join(out, ".lock");
    mkdirSync(out);
    for (const owner of [`${process.ppid} ${hostname()}`, `1 elsewhere`]) {
      writeFileSync(lock, owner);
      await expect(runToy(out)).rejects.toThrow(coded("ERR_RUN_BUSY", out));
    }
    writeFileSync(lock, `999999999 ${hostname()}`); // its process is gone
    await runToy(out, { steps: 3 });
    writeFileSync(lock, `${process.pid} ${hostname()}`); // of a container's earlier life
    const before = Date.now() / 1000 - process.uptime() - 1;
    utimesSync(lock, before, before);
    await runToy(out, { steps: 3 });
  });

  it("ends a run that diverges", async () => {
    const out = newRun();
    const poison =
      (from: number, to: number) =>
      (trainer: { poisoned: (step: number) => boolean }): void => {
        trainer.poisoned = (step) => step >= from && step < to;
      };
    const few = await runToy(newRun(), { maxSkipped: 3 }, { prepare: poison(5, 7) });
    expect(few.result).toMatchObject({ steps: 12, skipped: 2 });
    await expect(runToy(out, { maxSkipped: 3 }, { prepare: poison(5, 99) })).rejects.toThrow(
      coded("ERR_TRAIN_DIVERGED", "step 7: 3 steps in a row"),
    );
    expect(metricsOf(out).map((line) => line.skipped === true)).toEqual([...Array(4).fill(false), true, true, true]);
    expect(existsSync(join(out, "model"))).toBe(false);
    expect(checkpointsOf(out)).toEqual(["step_0000003", "step_0000006"]);
    await expect(runToy(newRun(), { lr: 1e3, minLr: 1e3, steps: 40, clip: 0 })).rejects.toThrow(
      coded("ERR_TRAIN_DIVERGED", "learning rate"),
    );
    const blind = (trainer: ToyTrainer): void => {
      trainer.evaluate = () => Promise.resolve({ tokens: 5, sums: { cross_entropy: NaN, total: NaN } });
    };
    const last = newRun();
    await expect(runToy(last, { valCheckInterval: 99 }, { prepare: blind })).rejects.toThrow(
      coded("ERR_TRAIN_DIVERGED", "step 12: the validation loss is not finite"),
    );
    expect(existsSync(join(last, "model"))).toBe(false);
  });
});
