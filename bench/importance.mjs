// What do importance's taps cost? The calibration pass with all taps takes turns with the same pass without any, which is the
// plain forward pass of the same code (blocks only: no head, no logits); and with the forward pass that gives losses, head
// included. Target: at most 1.15 x the first of these.
//   node bench/importance.mjs [--model ~/.cache/espalier/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf] [--samples 128] [--length 512]
//     [--rounds 3] [--threads 2] [--json]
import { mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { binding } from "../dist/binding.js";
import { runCalibrationPass } from "../dist/calibrate/index.js";
import { openWhole } from "../dist/checkpoint/index.js";
import { importanceTaps } from "../dist/importance/importance.js";
import { forwardLoss } from "./forward-loss.mjs";
import { median, options, quartiles, table } from "./support.mjs";

const chosen = options({
  model: join(homedir(), ".cache/espalier/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
  samples: 128,
  length: 512,
  rounds: 3,
  threads: binding.cpuInfo().threads,
});
const { samples, length, rounds, threads } = chosen;
const folder = mkdtempSync(join(tmpdir(), "espalier-bench-"));
const model = await openWhole(chosen.model);
const tokens = Int32Array.from({ length: samples * length }, (_, i) => (i * 7919 + 13) % model.spec.vocabSize);

const calibrate = (taps) => () => runCalibrationPass({ model, tokens, length, taps, directory: folder, threads });
const evaluate = () => forwardLoss({ model, tokens, labels: tokens, length, threads });
const passes = { taps: calibrate(importanceTaps), plain: calibrate([]), losses: evaluate };

async function seconds(pass) {
  const started = performance.now();
  await pass();
  return (performance.now() - started) / 1000;
}

try {
  for (const pass of Object.values(passes)) await pass(); // warm: pages of the file
  const found = { taps: [], plain: [], losses: [] };
  for (let round = 0; round < rounds; ++round) {
    const order = round % 2 === 0 ? ["taps", "plain", "losses"] : ["losses", "plain", "taps"];
    for (const name of order) found[name].push(await seconds(passes[name]));
  }
  const row = (name, times) => ({
    pass: name,
    seconds: median(times).toFixed(2),
    "tokens/s": (tokens.length / median(times)).toFixed(0),
  });
  table(`${samples} x ${length} tokens, ${threads} threads, ${binding.cpuInfo().isa}, ${binding.cpuInfo().model}`, [
    row("importance, all taps", found.taps),
    row("the same pass without taps", found.plain),
    row("forward pass with losses", found.losses),
  ]);
  for (const name of ["plain", "losses"]) {
    const ratios = found.taps.map((time, round) => time / found[name][round]);
    console.log(
      `importance / ${name}: median ${median(ratios).toFixed(3)}, quartiles ${quartiles(ratios)}, ${rounds} rounds`,
    );
  }
} finally {
  model.close();
  rmSync(folder, { recursive: true, force: true });
}
