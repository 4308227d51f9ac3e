// How are activations best summed up? The nine pairs of aggregators (over sequences, over positions), with and without the first
// position, before distillation; the default, the best and the worst after it.
//   node bench/experiments/aggregators.mjs [--out runs/minitron] [--seeds 1,2]
import { figure, openLab } from "./lab.mjs";
import { calibration, logitsOnly, losses, width, widthStudent } from "./students.mjs";

const NAMES = ["l2", "mean", "var"];
const DEFAULT = "l2,mean";

const lab = await openLab();
const importance = await calibration(lab);
const found = [];
for (const skipFirstPosition of [false, true])
  for (const batch of NAMES)
    for (const sequence of NAMES) {
      const aggregate = `${batch},${sequence}`;
      const isDefault = aggregate === DEFAULT && !skipFirstPosition;
      const name = isDefault ? "width-activation" : `width-${batch}-${sequence}${skipFirstPosition ? "-rest" : ""}`;
      const student = isDefault
        ? await widthStudent(lab)
        : await lab.student(name, { ...width, importance, aggregate, skipFirstPosition });
      found.push({ name, aggregate, skipFirstPosition, student });
    }

const cell = (aggregate, skip) =>
  found.find((entry) => entry.aggregate === aggregate && entry.skipFirstPosition === skip).student.loss.toFixed(3);
const rows = NAMES.flatMap((batch) =>
  NAMES.map((sequence) => ({
    "over sequences": batch,
    "over positions": sequence,
    "all positions": cell(`${batch},${sequence}`, false),
    "without the first": cell(`${batch},${sequence}`, true),
  })),
);
const sorted = [...found].sort((a, b) => a.student.loss - b.student.loss);
const chosen = new Set([sorted[0], found.find(({ name }) => name === "width-activation"), sorted.at(-1)]);
const after = [];
for (const { name, aggregate, skipFirstPosition, student } of chosen) {
  const runs = await logitsOnly(lab, name, student);
  const positions = skipFirstPosition ? "without the first" : "all";
  after.push({ aggregators: aggregate, positions, before: figure([student.loss]), after: figure(losses(runs)) });
}
lab.write("aggregators", [
  { title: "Loss before distillation, hidden 192, ffn 288", rows },
  { title: "The best, the default and the worst of these, after distillation", rows: after },
]);
