// Which learning rates suit runs as short as these? Distillation of the width-pruned student, its training on the data alone, and
// training of the same shape from scratch, each at several rates. The other experiments take the best (--lr, --scratch-lr).
//   node bench/experiments/learning-rate.mjs [--out runs/minitron] [--rates 0.0003,0.001,0.002,0.004]
//     [--ceRates 0.001,0.002] [--scratchRates 0.001,0.002,0.004]
import { join } from "node:path";
import { openLab } from "./lab.mjs";
import { widthStudent } from "./students.mjs";

const lab = await openLab({
  rates: "0.0003,0.001,0.002,0.004",
  ceRates: "0.001,0.002",
  scratchRates: "0.001,0.002,0.004",
});
const numbers = (text) => String(text).split(",").map(Number);
const student = await widthStudent(lab);
const rows = [];
for (const lr of numbers(lab.options.rates)) {
  const run = await lab.distilled(`rate-kl-${lr}`, { student: student.directory, loss: "logits", seed: 1, lr });
  rows.push({ run: "distilled (KL)", "learning rate": lr, loss: run.loss.toFixed(3) });
}
for (const lr of numbers(lab.options.ceRates)) {
  const run = await lab.trained(`rate-ce-${lr}`, { model: student.directory, seed: 1, lr });
  rows.push({ run: "pruned (cross-entropy)", "learning rate": lr, loss: run.loss.toFixed(3) });
}
for (const lr of numbers(lab.options.scratchRates)) {
  const config = join(student.directory, "config.json");
  const run = await lab.trained(`rate-scratch-${lr}`, { config, tokenizer: student.directory, seed: 1, lr });
  rows.push({ run: "from scratch (cross-entropy)", "learning rate": lr, loss: run.loss.toFixed(3) });
}
lab.write("learning-rate", [{ title: "Learning rates, seed 1", rows }]);
