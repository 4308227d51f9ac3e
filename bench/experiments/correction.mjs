// Does correcting the teacher help: training it on the data of the distillation first? Data: Moby-Dick alone, which is an eighth
// of what the teacher learned from; with --corpus FILE a text that it never saw (a blank line ends a document). Same students;
// once also a student cut from the corrected teacher. The teacher is corrected for as many steps as distillation takes, at a
// fifth of its peak learning rate.
//   node bench/experiments/correction.mjs [--out runs/minitron] [--seeds 1,2] [--corpus tinystories.txt]
import { basename } from "node:path";
import { figure, openLab } from "./lab.mjs";
import { losses, width, widthStudent } from "./students.mjs";

const CORRECTION_RATE = 4e-4; // a fifth of 2e-3

const lab = await openLab({ corpus: "" });
const { corpus, model } = lab.options;
const data = corpus === "" ? "moby-dick" : corpus;
const label = basename(data).replace(/\W+/g, "-");
const original = await lab.loss(`${label}/original`, model, data);
const corrected = await lab.trained(`${label}/corrected`, { model, seed: 1, data, lr: CORRECTION_RATE });

const cut = await widthStudent(lab);
const importance = await lab.scores(`corrected-${label}`, { model: corrected.model, data });
const cutLater = await lab.student(
  `width-corrected-${label}`,
  { ...width, importance },
  { model: corrected.model, data },
);
const variants = [
  ["original", "original", cut.directory, model],
  ["original", "corrected", cut.directory, corrected.model],
  ["corrected", "corrected", cutLater.directory, corrected.model],
];
const rows = [];
for (const [source, taught, student, teacher] of variants) {
  const runs = [];
  for (const seed of lab.seeds)
    runs.push(
      await lab.distilled(`${label}/${source}-${taught}-${seed}`, { student, teacher, seed, data, loss: "logits" }),
    );
  const before = await lab.loss(`${label}/student-of-${source}`, student, data);
  rows.push({ "cut from": source, "taught by": taught, before: figure([before.loss]), after: figure(losses(runs)) });
}
const teachers = `teacher ${figure([original.loss])}, corrected ${figure([corrected.loss])}`;
lab.write(`correction-${label}`, [{ title: `Loss on ${basename(data)}: ${teachers}`, rows }]);
