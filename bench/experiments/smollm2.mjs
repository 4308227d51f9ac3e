// The same questions of SmolLM2-135M, as far as a CPU goes, before distillation: activations against magnitude and chance at
// equal size; aggregators; width against depth; which block of layers to drop. By LM loss, and by ARC-easy and PIQA where their
// files are given (Winogrande is chance at this size); one short distillation with --steps.
//   node bench/experiments/smollm2.mjs --model ~/.cache/espalier/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --out runs/smollm2
//     --samples 16 --heldOut 16 --batch 4 --lr 0.0003 --steps 30 --seeds 1
//     [--tasks arc_easy=arc_easy.jsonl,piqa=piqa.jsonl --limit 100]
import { readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { buildEngine, Engine, evaluateTasks, readTasks } from "../../dist/index.js";
import { openLab } from "./lab.mjs";

/** As large as 22 of the 30 layers: 106 million parameters. */
const WIDTH = { hidden: 504, ffn: 1280 };
const LAYERS = 22;
const BLOCK = 30 - LAYERS;
/** Sequences of 512 tokens for each loss without a block: there are many. */
const LOSS_SAMPLES = 2;

const lab = await openLab({ tasks: "", limit: 100 });
const { model, tasks, limit, steps } = lab.options;
const files = tasks === "" ? [] : tasks.split(",").map((item) => item.split("="));

/** acc of every task: documents right. */
async function scoresOf(name, path) {
  if (files.length === 0) return {};
  return lab.keep(`tasks/${name}-${limit}`, async () => {
    const directory = lab.path("models", `${basename(name)}-engine`);
    rmSync(directory, { recursive: true, force: true });
    await buildEngine(path, directory, { weights: "f32" });
    const engine = await Engine.load(directory);
    try {
      const report = await evaluateTasks(engine, await readTasks(files.map(([task, file]) => ({ task, file }))), {
        limit,
      });
      return Object.fromEntries(Object.entries(report.tasks).map(([task, { metrics }]) => [task, metrics.acc]));
    } finally {
      await engine.dispose();
      rmSync(directory, { recursive: true, force: true });
    }
  });
}

async function rowOf(title, name, { directory, parameters, loss }) {
  const scores = await scoresOf(name, directory);
  const shown = Object.entries(scores).map(([task, { value, stderr }]) => [
    task,
    `${value.toFixed(3)} ± ${stderr.toFixed(3)}`,
  ]);
  return { model: title, parameters, loss: loss.toFixed(3), ...Object.fromEntries(shown) };
}

const importance = await lab.scores("calibration-1234", { layerBlocks: [1, BLOCK], lossSamples: LOSS_SAMPLES });
const whole = await lab.loss("whole", model);
const rows = [await rowOf("SmolLM2-135M", "whole", { ...whole, parameters: null })];
const methods = [
  ["activation", { importance }],
  ["magnitude", { importance: "magnitude" }],
  ["random, seed 1", { importance: "random", seed: 1 }],
  ["random, seed 2", { importance: "random", seed: 2 }],
];
for (const [method, how] of methods) {
  const name = `width-${method}`.replaceAll(/\W+/g, "-");
  rows.push(await rowOf(`hidden 504, ffn 1280: ${method}`, name, await lab.student(name, { ...WIDTH, ...how })));
}
const depths = [
  ["least block importance", { layers: LAYERS, importance }],
  ["block that costs least", { layers: LAYERS, importance, layerMethod: "contiguous-loss" }],
  ["the last", { dropLayers: `${LAYERS + 1}-30` }],
  ["up to the last but one", { dropLayers: `${LAYERS}-29` }],
];
for (const [method, how] of depths) {
  const name = `depth-${method}`.replaceAll(/\W+/g, "-");
  const student = await lab.student(name, how);
  rows.push(await rowOf(`22 layers, gone: ${method} (${student.droppedLayers.join(" ")})`, name, student));
}

/** The nine pairs of aggregators, all positions and without the first, where attention sinks stand. Models are not kept. */
async function aggregatorRow(aggregate) {
  const row = { "over sequences, positions": aggregate };
  for (const skipFirstPosition of [false, true]) {
    const name = `width-${aggregate.replace(",", "-")}${skipFirstPosition ? "-rest" : ""}`;
    const student = await lab.student(name, { ...WIDTH, importance, aggregate, skipFirstPosition });
    rmSync(student.directory, { recursive: true, force: true });
    row[skipFirstPosition ? "without the first" : "all positions"] = student.loss.toFixed(3);
  }
  return row;
}

const aggregators = [];
for (const batch of ["l2", "mean", "var"])
  for (const sequence of ["l2", "mean", "var"]) aggregators.push(await aggregatorRow(`${batch},${sequence}`));

const { loss } = JSON.parse(readFileSync(join(importance, "importance.json"), "utf8"));
const without = loss.without.map(({ size, losses }) => ({
  "layers gone": size,
  "loss by the first layer of the block": losses.map((value) => value.toFixed(2)).join(" "),
}));
const tables = [
  { title: "SmolLM2-135M before distillation", rows },
  { title: "Loss before distillation by aggregators, hidden 504, ffn 1280", rows: aggregators },
  { title: `Loss without blocks of layers (whole ${loss.whole.toFixed(3)}, ${loss.tokens} tokens)`, rows: without },
];
lab.write("smollm2", tables);

if (steps > 0) {
  const after = [];
  for (const name of ["width-activation", "depth-least-block-importance"]) {
    const student = await lab.student(name, {});
    const run = await lab.distilled(`${name}-kl`, { student: student.directory, seed: lab.seeds[0], loss: "logits" });
    const before = student.loss.toFixed(3);
    after.push({ student: name, parameters: student.parameters, before, after: run.loss.toFixed(3) });
  }
  lab.write("smollm2", [...tables, { title: `${steps} steps of KL on logits`, rows: after }]);
}
