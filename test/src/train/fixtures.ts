/** A small run: the toy trainer, a new tiny model, and what a run leaves behind. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { StepMetrics } from "../../../src/train/run-log.js";
import { train, type TrainOptions } from "../../../src/train/index.js";
import { trainWith, type TrainHooks, type TrainResult } from "../../../src/train/train.js";
import { coded, tinyConfig } from "../../model-files.js";
import { toyParts, type ToyOptions, type ToyParts } from "./toy-trainer.js";

export const smallRun = {
  config: { ...tinyConfig, vocab_size: 16, hidden_size: 8, intermediate_size: 8 },
  data: "toy",
  steps: 12,
  globalBatch: 4,
  microBatch: 2,
  seqLength: 8,
  lr: 0.05,
  warmup: 3,
  saveInterval: 3,
  valCheckInterval: 4,
  limitValBatches: 2,
} satisfies Partial<TrainOptions>;

export async function runToy(
  out: string,
  change: Partial<TrainOptions> = {},
  toy: ToyOptions = {},
  hooks: TrainHooks = {},
): Promise<{ result: TrainResult; parts: ToyParts }> {
  const parts = toyParts(toy);
  return { result: await trainWith({ ...smallRun, out, ...change }, hooks, parts), parts };
}

export function metricsOf(run: string): StepMetrics[] {
  return readFileSync(join(run, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as StepMetrics);
}

/** Figures that must not depend on how often the run was stopped. */
export function lastingMetrics(run: string): object[] {
  return metricsOf(run).map(({ tokens_per_second: _speed, ...lasting }) => lasting);
}

/** Bytes of every file of a run's model, and of its checkpoints but for times. */
export function weightsOf(run: string): Record<string, string> {
  const out: Record<string, string> = {};
  for (const folder of ["model", ...readdirSync(join(run, "checkpoints")).map((name) => join("checkpoints", name))])
    for (const name of readdirSync(join(run, folder)))
      if (name !== "state.json") out[join(folder, name)] = readFileSync(join(run, folder, name)).toString("base64");
  return out;
}

export function checkpointsOf(run: string): string[] {
  return readdirSync(join(run, "checkpoints")).sort();
}

/**
 * Of a run of 12 steps with the native trainer: stopped after steps 4 and 8 and started again, it leaves what an
 * undisturbed one does. `${path} whole` is that one.
 */
export async function expectExactResume(options: Omit<TrainOptions, "out">, path: string): Promise<void> {
  const [whole, stopped] = [`${path} whole`, `${path} stopped`];
  const undisturbed = await train({ ...options, out: whole });
  for (const stopAt of [3, 7]) {
    const controller = new AbortController();
    const onProgress = (event: { kind: string; step?: number }): void => {
      if (event.kind === "step" && event.step === stopAt) controller.abort();
    };
    const hooks = { signal: controller.signal, onProgress };
    await expect(train({ ...options, out: stopped }, hooks)).rejects.toThrow(coded("ERR_ABORTED"));
  }
  const { resumedFrom, loss } = await train({ ...options, out: stopped });
  expect({ resumedFrom, loss }).toEqual({ resumedFrom: 8, loss: undisturbed.loss });
  expect(lastingMetrics(stopped)).toEqual(lastingMetrics(whole));
  const last = join("checkpoints", "step_0000012", "trainer.safetensors");
  for (const file of [join("model", "model.safetensors"), last])
    expect(weightsOf(stopped)[file]).toBe(weightsOf(whole)[file]);
}
