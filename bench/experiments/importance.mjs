// Do activations say better than chance or weight magnitude what to prune, at equal size? Students of the same shape, before
// distillation (activations: three sets of calibration samples; chance: three seeds) and after it. Every axis alone as well.
//   node bench/experiments/importance.mjs [--out runs/minitron] [--seeds 1,2]
import { figure, openLab } from "./lab.mjs";
import { calibration, logitsOnly, losses, width } from "./students.mjs";

const SHAPES = {
  "hidden 192, ffn 288": width,
  "ffn 256": { ffn: 256 },
  "hidden 192": { hidden: 192 },
  "heads 2": { heads: 2 },
};
const CHANCES = [1, 2, 3];

const lab = await openLab();
const calibrations = [await calibration(lab)];
for (const seed of [1, 2]) calibrations.push(await lab.scores(`calibration-${seed}`, { seed }));

/** [method, [suffix, options of prune]...] */
const methods = [
  ["activation", calibrations.map((importance, i) => [i === 0 ? "" : `-${i}`, { importance }])],
  ["magnitude", [["", { importance: "magnitude" }]]],
  ["random", CHANCES.map((seed) => [`-${seed}`, { importance: "random", seed }])],
];

const whole = await lab.loss("whole", lab.options.model);
const before = [];
const after = [];
for (const [title, shape] of Object.entries(SHAPES)) {
  const row = { shape: title, parameters: 0 };
  for (const [method, variants] of methods) {
    const prefix = shape === width ? "width" : title.replaceAll(" ", "-");
    const students = [];
    for (const [suffix, how] of variants)
      students.push(await lab.student(`${prefix}-${method}${suffix}`, { ...shape, ...how }));
    row.parameters = students[0].parameters;
    row[method] = figure(losses(students));
    if (shape !== width) continue;
    const runs = await logitsOnly(lab, `width-${method}${variants[0][0]}`, students[0]);
    after.push({ importance: method, before: figure([students[0].loss]), after: figure(losses(runs)) });
  }
  before.push(row);
}
lab.write("importance", [
  { title: `Loss before distillation (teacher ${figure([whole.loss])}): mean (least - most)`, rows: before },
  { title: "Loss after distillation, hidden 192, ffn 288: mean (least - most)", rows: after },
]);
