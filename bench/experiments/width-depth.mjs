// Width or depth, at the same number of parameters? Quality here; speed by
//   node bench/pruned.mjs --model models/teacher --students OUT/models/width-activation,OUT/models/depth-block-importance
// which takes turns.
//   node bench/experiments/width-depth.mjs [--out runs/minitron] [--seeds 1,2]
import { figure, openLab } from "./lab.mjs";
import { depthStudent, logitsOnly, losses, widthStudent } from "./students.mjs";

const lab = await openLab();
const students = [
  ["width: hidden 192, ffn 288", "width-activation", await widthStudent(lab)],
  ["depth: 3 of 6 layers", "depth-block-importance", await depthStudent(lab)],
];
const rows = [];
for (const [title, name, student] of students) {
  const after = losses(await logitsOnly(lab, name, student));
  rows.push({ student: title, parameters: student.parameters, before: figure([student.loss]), after: figure(after) });
}
lab.write("width-depth", [{ title: "Loss, width against depth", rows }]);
