// Do hidden states help beside logits? After a cut of half the layers, and after a cut of width, where the published advice is
// logits alone. Hidden states: cosine, scaled to the logits' loss; of the embedding and the third layer from the end, or, where
// depth stays, of every layer.
//   node bench/experiments/hidden.mjs [--out runs/minitron] [--seeds 1,2]
import { figure, openLab } from "./lab.mjs";
import { depthStudent, logitsOnly, losses, widthStudent } from "./students.mjs";

const lab = await openLab();
const students = [
  ["3 of 6 layers", "depth-block-importance", await depthStudent(lab)],
  ["hidden 192, ffn 288", "width-activation", await widthStudent(lab)],
];
const rows = [];
for (const [title, name, student] of students) {
  const both = [];
  for (const seed of lab.seeds)
    both.push(
      await lab.distilled(`${name}-kl-hidden-${seed}`, {
        student: student.directory,
        seed,
        loss: "logits+intermediate",
      }),
    );
  rows.push({
    student: title,
    before: figure([student.loss]),
    "logits only": figure(losses(await logitsOnly(lab, name, student))),
    "logits and hidden states": figure(losses(both)),
  });
}
lab.write("hidden", [{ title: "Loss by what is compared with the teacher: mean (least - most)", rows }]);
