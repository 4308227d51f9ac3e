// Which layers to drop? The loss without every block of 1, 2 and 3 consecutive layers; then three of six layers gone: those with
// the least block importance, the block whose absence costs least, the last three, and the three before the last.
//   node bench/experiments/blocks.mjs [--out runs/minitron] [--seeds 1,2]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { figure, openLab } from "./lab.mjs";
import { calibration, depth, depthStudent, logitsOnly, losses } from "./students.mjs";

const lab = await openLab();
const importance = await calibration(lab);
const { loss, blockImportance } = JSON.parse(readFileSync(join(importance, "importance.json"), "utf8"));
const layers = blockImportance.all.length;
const without = Array.from({ length: layers }, (_, layer) => {
  const at = (size) => loss.without.find((row) => row.size === size).losses[layer];
  const row = { "first layer gone": layer + 1, "block importance": blockImportance.all[layer].toFixed(3) };
  for (const size of [1, 2, 3]) row[`loss without ${size}`] = at(size)?.toFixed(3) ?? "";
  return row;
});

const students = [
  ["least block importance", "depth-block-importance", await depthStudent(lab)],
  [
    "block that costs least",
    "depth-contiguous",
    await lab.student("depth-contiguous", { ...depth, importance, layerMethod: "contiguous-loss" }),
  ],
  ["the last three", "depth-last", await lab.student("depth-last", { dropLayers: `${layers - 2}-${layers}` })],
  [
    "three, but the last",
    "depth-but-last",
    await lab.student("depth-but-last", { dropLayers: `${layers - 3}-${layers - 1}` }),
  ],
];
// Methods that agree on the layers share a student.
const found = new Map();
for (const [method, name, student] of students) {
  const key = student.droppedLayers.join();
  const before = found.get(key);
  found.set(key, before === undefined ? [method, name, student] : [`${before[0]}; ${method}`, ...before.slice(1)]);
}
const rows = [];
for (const [method, name, student] of found.values()) {
  const gone = student.droppedLayers.join(", ");
  const after = losses(await logitsOnly(lab, name, student));
  rows.push({ "layers gone": method, which: gone, before: figure([student.loss]), after: figure(after) });
}
lab.write("blocks", [
  {
    title: `Loss without blocks of layers (${loss.tokens} training tokens; whole ${loss.whole.toFixed(3)})`,
    rows: without,
  },
  { title: "Loss, three of six layers gone, logits only", rows },
]);
