// Is a teacher worth it, and is a pruned start? The same width-pruned student by KL to the teacher, by cross-entropy with the
// data, by both; and the same shape from random weights, by cross-entropy and by KL. Equal tokens.
//   node bench/experiments/losses.mjs [--out runs/minitron] [--seeds 1,2]
import { join } from "node:path";
import { figure, openLab } from "./lab.mjs";
import { losses, widthStudent } from "./students.mjs";

const lab = await openLab();
const { model: teacher, scratchLr } = lab.options;
const student = await widthStudent(lab);
const pruned = { student: student.directory, loss: "logits" };
const fresh = { config: join(student.directory, "config.json"), tokenizer: student.directory, lr: scratchLr };

const variants = [
  ["pruned", "KL to the teacher", (seed) => lab.distilled(`width-activation-kl-${seed}`, { ...pruned, seed })],
  [
    "pruned",
    "KL and cross-entropy",
    (seed) => lab.distilled(`width-activation-kl-ce-${seed}`, { ...pruned, seed, ceWeight: 1 }),
  ],
  ["pruned", "cross-entropy", (seed) => lab.trained(`width-activation-ce-${seed}`, { model: student.directory, seed })],
  ["random weights", "KL to the teacher", (seed) => lab.trained(`scratch-kl-${seed}`, { ...fresh, teacher, seed })],
  ["random weights", "cross-entropy", (seed) => lab.trained(`scratch-ce-${seed}`, { ...fresh, seed })],
];
const rows = [];
for (const [start, loss, run] of variants) {
  const runs = [];
  for (const seed of lab.seeds) runs.push(await run(seed));
  const at = (step) => figure(runs.map(({ curve }) => curve.find(([found]) => found === step)?.[1] ?? NaN));
  rows.push({ start, loss, "step 50 (*)": at(50), "step 100 (*)": at(100), "at the end": figure(losses(runs)) });
}
lab.write("losses", [{ title: "Loss by what it was trained on: mean (least - most)", rows }]);
