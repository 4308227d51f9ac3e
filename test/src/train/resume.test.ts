/** A run that is stopped, killed or damaged and started again ends as an undisturbed one, to the last bit. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  readdirSync,
  appendFileSync,
} from "node:fs";
import { join } from "node:path";
import type { TrainOptions, TrainProgress } from "../../../src/train/index.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { readEvents } from "./event-reader.js";
import { checkpointsOf, lastingMetrics, metricsOf, runToy, smallRun, weightsOf } from "./fixtures.js";
import type { ToyOptions, ToyTrainer } from "./toy-trainer.js";

const newRun = (): string => join(temporaryDirectory(), "run");
const killed = new Error("killed");

/** Ends the run at the given micro batch, as if the process had been killed: nothing more is written. */
const dieAt =
  (microBatch: number) =>
  (trainer: ToyTrainer): void => {
    let seen = 0;
    trainer.onAccumulate = () => {
      if (++seen === microBatch) throw killed;
    };
  };

let undisturbed: string;

beforeAll(async () => {
  undisturbed = newRun();
  await runToy(undisturbed);
});

function expectSame(run: string): void {
  expect(weightsOf(run)).toEqual(weightsOf(undisturbed));
  expect(lastingMetrics(run)).toEqual(lastingMetrics(undisturbed));
  const name = readdirSync(run).filter((file) => file.startsWith("events.out.tfevents."));
  expect(name).toHaveLength(1);
  const steps = readEvents(join(run, name[0] ?? "")).flatMap((event) => ("loss" in event.scalars ? [event.step] : []));
  expect(steps).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
}

describe("resuming", () => {
  it.each([1, 2, 5, 6, 7, 8, 13, 24])("is exact after a death in micro batch %i", async (microBatch) => {
    const out = newRun();
    await expect(runToy(out, {}, { prepare: dieAt(microBatch) })).rejects.toBe(killed);
    const saved = Math.floor((microBatch - 1) / 2 / 3) * 3;
    const { result } = await runToy(out);
    expect(result.resumedFrom).toBe(saved === 0 ? null : saved);
    expectSame(out);
  });

  it("is exact after many deaths", async () => {
    const out = newRun();
    for (let attempt = 0; attempt < 20 && !existsSync(join(out, "model")); ++attempt)
      await runToy(out, { saveInterval: 1 }, { prepare: dieAt(3 + (attempt % 3)) }).catch((error: unknown) =>
        expect(error).toBe(killed),
      );
    expect(lastingMetrics(out)).toEqual(lastingMetrics(undisturbed));
    expect(weightsOf(out)["model/model.safetensors"]).toBe(weightsOf(undisturbed)["model/model.safetensors"]);
  });

  it("finishes the step and saves when it is aborted", async () => {
    const out = newRun();
    const controller = new AbortController();
    const onProgress = (event: TrainProgress): void => {
      if (event.kind === "step" && event.step === 4) controller.abort();
    };
    await expect(runToy(out, {}, {}, { signal: controller.signal, onProgress })).rejects.toThrow(coded("ERR_ABORTED"));
    expect(checkpointsOf(out)).toEqual(["step_0000003", "step_0000005"]);
    expect(metricsOf(out)).toHaveLength(5);
    rmSync(join(out, "checkpoints", "step_0000003"), { recursive: true });
    const { result } = await runToy(out, { saveInterval: 3 });
    expect(result.resumedFrom).toBe(5);
    expect(weightsOf(out)["model/model.safetensors"]).toBe(weightsOf(undisturbed)["model/model.safetensors"]);
    expect(lastingMetrics(out)).toEqual(lastingMetrics(undisturbed));
  });

  it("does nothing but tell the result when the run is finished", async () => {
    const out = newRun();
    cpSync(undisturbed, out, { recursive: true });
    const { result, parts } = await runToy(out);
    expect(result).toMatchObject({ steps: 12, resumedFrom: 12 });
    expect(parts.trainers).toHaveLength(0);
    expectSame(out);
    rmSync(join(out, "model"), { recursive: true });
    await runToy(out);
    expectSame(out);
    rmSync(join(out, "checkpoints"), { recursive: true });
    await expect(runToy(out)).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", "model"));
  });

  it("removes what was half-written and cuts what was logged too much", async () => {
    const out = newRun();
    await expect(runToy(out, {}, { prepare: dieAt(12) })).rejects.toBe(killed);
    mkdirSync(join(out, "checkpoints", ".step_0000006.espalier-1-00000000"));
    appendFileSync(join(out, "metrics.jsonl"), '{"step": 6, "lo');
    await runToy(out);
    expectSame(out);
    expect(checkpointsOf(out).filter((name) => name.startsWith("."))).toEqual([]);
  });
});

describe("damaged checkpoints", () => {
  const stopped = async (): Promise<string> => {
    const out = newRun();
    await expect(runToy(out, {}, { prepare: dieAt(22) })).rejects.toBe(killed);
    expect(checkpointsOf(out)).toEqual(["step_0000003", "step_0000006", "step_0000009"]);
    return out;
  };
  const flip = (path: string): void => {
    const bytes = readFileSync(path);
    bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 1;
    writeFileSync(path, bytes);
  };
  const damages: Record<string, (checkpoint: string) => void> = {
    "a missing state": (at) => rmSync(join(at, "state.json")),
    "a state that is no JSON": (at) => truncateSync(join(at, "state.json"), 40),
    "a state of another version": (at) => writeFileSync(join(at, "state.json"), '{"version": 9}'),
    "missing moments": (at) => rmSync(join(at, "trainer.safetensors")),
    "shortened weights": (at) => truncateSync(join(at, "model.safetensors"), 200),
    "a flipped bit in the weights": (at) => flip(join(at, "model.safetensors")),
    "a flipped bit in the moments": (at) => flip(join(at, "trainer.safetensors")),
  };

  it.each(Object.entries(damages))("with %s are told and passed over", async (_, damage) => {
    const out = await stopped();
    damage(join(out, "checkpoints", "step_0000009"));
    const told: string[] = [];
    const { result } = await runToy(
      out,
      {},
      {},
      {
        onProgress: (event) => {
          if (event.kind === "damaged") told.push(event.path);
        },
      },
    );
    expect(told).toEqual([join(out, "checkpoints", "step_0000009")]);
    expect(result.resumedFrom).toBe(6);
    expectSame(out);
  });

  it("end the run when none is left", async () => {
    const out = await stopped();
    for (const name of checkpointsOf(out)) flip(join(out, "checkpoints", name, "model.safetensors"));
    await expect(runToy(out)).rejects.toThrow(coded("ERR_TRAIN_CHECKPOINT", "step_0000003"));
    expect(checkpointsOf(out)).toHaveLength(3);
  });
});

describe("a run of something else", () => {
  it.each<[string, Partial<TrainOptions>, ToyOptions]>([
    ["lr", { lr: 0.01 }, {}],
    ["seed", { seed: 1 }, {}],
    ["globalBatch", { globalBatch: 8 }, {}],
    ["steps", { steps: 24 }, {}],
    ["seqLength", { seqLength: 4 }, {}],
    ["spec", { config: { ...smallRun.config, rope_theta: 5 } }, {}],
    ["data", {}, { fingerprint: "other data" }],
  ])("is refused, naming %s", async (field, change, toy) => {
    const out = newRun();
    cpSync(undisturbed, out, { recursive: true });
    await expect(runToy(out, change, toy)).rejects.toThrow(coded("ERR_TRAIN_RESUME", `${field}: `));
    expectSame(out);
  });

  it("may be saved and watched otherwise", async () => {
    const out = newRun();
    await expect(runToy(out, {}, { prepare: dieAt(9) })).rejects.toBe(killed);
    await runToy(out, { saveTopK: 9, saveInterval: 1, threads: 2, maxSkipped: 3 });
    expect(lastingMetrics(out)).toEqual(lastingMetrics(undisturbed));
  });

  it("goes on with another number of processes, and says so", async () => {
    const out = newRun();
    await expect(runToy(out, {}, { prepare: dieAt(9) })).rejects.toBe(killed);
    const path = join(out, "checkpoints", "step_0000003", "state.json");
    writeFileSync(path, readFileSync(path, "utf8").replace('"worldSize": 1', '"worldSize": 2'));
    const told: TrainProgress[] = [];
    await runToy(out, {}, {}, { onProgress: (event) => told.push(event) });
    expect(told).toContainEqual({ kind: "worldSize", before: 2, now: 1 });
  });
});

describe("a full disk", () => {
  it("while saving leaves the checkpoint before it, from which the run goes on", async () => {
    const out = newRun();
    const full = (trainer: ToyTrainer): void => {
      let tensors = 0;
      trainer.onMerged = () => {
        if (++tensors > 15)
          throw Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC", syscall: "write" });
      };
    };
    await expect(runToy(out, {}, { prepare: full })).rejects.toThrow(coded("ERR_DISK_FULL", "step_0000006"));
    expect(checkpointsOf(out)).toEqual(["step_0000003"]);
    await runToy(out);
    expectSame(out);
  });
});
