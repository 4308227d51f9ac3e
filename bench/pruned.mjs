// Is a pruned model faster in proportion? Student and model take turns on random prompts; ratios are medians over neighbouring
// repeats. Engines are built beside the results; nothing else should run (a disturbed cell is measured again and told).
//   node bench/pruned.mjs --model MODEL --students DIR,DIR [--weights f32] [--isl 512] [--osl 64] [--batch 1] [--repeats 7]
//     [--threads 2] [--json]
// Half of the layers, target at least 1.8 x prefill and decode:
//   npx espalier prune MODEL --drop-layers 15-29 --out half && node bench/pruned.mjs --model MODEL --students half
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { bench, buildEngine } from "../dist/index.js";
import { options, table } from "./support.mjs";

const chosen = options({
  model: "models/teacher",
  students: "",
  weights: "f32",
  isl: 512,
  osl: 64,
  batch: 1,
  repeats: 7,
  threads: 2,
});
const folder = mkdtempSync(join(tmpdir(), "espalier-bench-"));

async function engineOf(model, index) {
  const directory = join(folder, `${index}-${basename(model)}`);
  const { parameters } = await buildEngine(model, directory, { weights: chosen.weights });
  return { directory, parameters };
}

function rowOf(name, { directory, parameters }, cell) {
  const ratio = (figure) => {
    const spread = cell.comparison?.ratios[figure];
    return spread == null ? "" : `${spread.median.toFixed(2)} (${spread.min.toFixed(2)} - ${spread.max.toFixed(2)})`;
  };
  return {
    model: basename(name ?? directory),
    parameters,
    "prefill tokens/s": cell.prefillTokensPerSecond.toFixed(0),
    "decode tokens/s": cell.decodeTokensPerSecond.toFixed(1),
    "prefill ratio": ratio("prefillTokensPerSecond"),
    "decode ratio": ratio("decodeTokensPerSecond"),
    disturbed: cell.disturbed,
  };
}

try {
  const { isl, osl, batch, repeats, threads } = chosen;
  const model = await engineOf(chosen.model, 0);
  const rows = [];
  let cpu = "";
  for (const [index, student] of chosen.students.split(",").filter(Boolean).entries()) {
    const engine = await engineOf(student, index + 1);
    const cells = { isl: [isl], osl: [osl], batch: [batch], repeats, threads, compare: engine.directory };
    const [before, after] = await bench(model.directory, cells);
    cpu = `${before.cpu}, ${before.isa}, ${threads} threads`;
    rows.push(rowOf(chosen.model, model, before), rowOf(student, engine, after));
  }
  table(`${chosen.weights} engines, ISL ${isl}, OSL ${osl}, batch ${batch}, ${cpu}`, rows);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
