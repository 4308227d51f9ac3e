/** Two ranks that share a global batch make the updates that one process makes of all of it, within rounding. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { binding } from "../../../src/binding.js";
import type { TrainBatch, TrainerConfig } from "../../../src/train/native-trainer.js";
import { itWithMpi, mpirun } from "../../mpi.js";
import { temporaryDirectory } from "../../temporary.js";
import { drawnModel, progressionBatch, tinySpec, trainerConfig } from "./tiny-model.js";

const steps = 5;
const update = { learningRate: 1e-2, weightDecay: 0.01, maxGradNorm: 0.1 };
const name = "model.layers.0.mlp.down_proj.weight";
const config = trainerConfig(drawnModel({ ...tinySpec, tieWordEmbeddings: false }), { threads: 1 });

/** Row `i` of a batch, half of its labels masked when i is odd: ranks then count different numbers of tokens. */
function rowOf(batch: TrainBatch, i: number): TrainBatch {
  const { length } = batch;
  const labels = batch.labels.slice(i * length, (i + 1) * length);
  if (i % 2 === 1) labels.fill(-100, 0, length / 2);
  return { sequences: 1, length, tokens: batch.tokens.slice(i * length, (i + 1) * length), labels };
}

const rows = [0, 1, 2, 3].map((i) => rowOf(progressionBatch(4, 16, tinySpec.vocabSize), i));

async function alone(): Promise<{ weights: Float32Array; gradNorms: number[] }> {
  const trainer = new binding.NativeTrainer(config);
  const gradNorms: number[] = [];
  for (let step = 0; step < steps; ++step) {
    let tokens = 0;
    for (const row of rows) tokens += (await trainer.accumulate(row)).tokens;
    gradNorms.push((await trainer.update({ ...update, tokens })).gradNorm);
  }
  const weights = await trainer.read(name, "weight");
  await trainer.close();
  return { weights, gradNorms };
}

/** What each rank runs: rows rank, rank + 2, ...; `early` lets the sums start during the backward pass. */
const program = (early: boolean): string => `
import { writeFileSync } from "node:fs";
import { binding } from ${JSON.stringify(pathToFileURL(join(__dirname, "../../../dist/binding.js")).href)};
const ranks = binding.openCommunicator();
const config = ${JSON.stringify({ ...config, dataParallel: true } satisfies TrainerConfig)};
const rows = ${JSON.stringify(rows.map((row) => ({ ...row, tokens: [...row.tokens], labels: [...row.labels] })))}
  .map((row) => ({ ...row, tokens: Int32Array.from(row.tokens), labels: Int32Array.from(row.labels) }))
  .filter((_, index) => index % ranks.size === ranks.rank);
const trainer = new binding.NativeTrainer(config);
const gradNorms = [];
for (let step = 0; step < ${steps}; ++step) {
  let tokens = 0;
  for (const [index, row] of rows.entries())
    tokens += (await trainer.accumulate({ ...row, last: ${early} && index === rows.length - 1 })).tokens;
  const all = new Float64Array([tokens]);
  await ranks.sum(all);
  gradNorms.push((await trainer.update({ ...${JSON.stringify(update)}, tokens: all[0] })).gradNorm);
}
const weights = [...(await trainer.read(${JSON.stringify(name)}, "weight"))];
await trainer.close();
ranks.leave();
writeFileSync(process.argv[1] + "." + ranks.rank + ".json", JSON.stringify({ weights, gradNorms }));
`;

itWithMpi.each([true, false])("sums started early: %s", async (early) => {
  const path = join(temporaryDirectory(), "rank.mjs");
  writeFileSync(path, program(early));
  await mpirun(2, [path]);
  const [first, second] = [0, 1].map((rank) => readFileSync(`${path}.${rank}.json`, "utf8")) as [string, string];
  expect(second === first).toBe(true);
  const parallel = JSON.parse(first) as { weights: number[]; gradNorms: number[] };
  const { weights, gradNorms } = await alone();
  for (const [step, norm] of gradNorms.entries()) expect(parallel.gradNorms[step]! / norm).toBeCloseTo(1, 5);
  expect(gradNorms[0]).toBeGreaterThan(update.maxGradNorm); // clipping was at work
  const largest = Math.max(...weights.map(Math.abs));
  for (const [i, weight] of weights.entries())
    expect(Math.abs(parallel.weights[i]! - weight)).toBeLessThan(1e-4 * largest);
});
