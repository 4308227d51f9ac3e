// How fast are tasks next to lm-evaluation-harness (torch on the CPU, float32)? The first documents of a task's file; both give
// the same log-likelihoods, which is checked. Runs take turns, the other waits; the median of the ratios of neighbours counts.
// Tokens: those of all requests (question and answer, for every answer), the same for both, whoever computes them once only.
//   node bench/evaluate.mjs --file arc_easy.jsonl --hf DIR [--model GGUF or DIR] [--task arc_easy] [--limit 200] [--rounds 3]
//     [--threads 2] [--batch 16] [--python python3]
// Python needs lm-eval 0.4.13, torch and transformers (bench/peers/lm_eval.py); --hf is the model as `espalier export` writes it.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { binding } from "../dist/binding.js";
import { buildEngine, Engine, evaluateTasks, readTasks } from "../dist/index.js";
import { median, options, quartiles, table } from "./support.mjs";

const chosen = options({
  file: "",
  hf: "",
  model: join(homedir(), ".cache/espalier/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
  task: "arc_easy",
  limit: 200,
  rounds: 3,
  threads: binding.cpuInfo().threads,
  batch: 16,
  python: "python3",
});
const { task, file, hf, limit, threads } = chosen;
if (file === "" || hf === "") throw new Error("expected --file TASK.jsonl and --hf DIR");
const folder = mkdtempSync(join(tmpdir(), "espalier-bench-"));
const peerPath = fileURLToPath(new URL("peers/lm_eval.py", import.meta.url));
const args = [peerPath, hf, task, file, limit, threads, chosen.batch].map(String);
const peer = spawn(chosen.python, args, { stdio: ["pipe", "pipe", "ignore"] });
const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]();

async function answer() {
  const { value, done } = await lines.next();
  if (done) throw new Error(`${chosen.python} ${peerPath} ended: it needs lm-eval, torch and transformers`);
  return JSON.parse(value);
}

async function harness() {
  peer.stdin.write("run\n");
  return answer();
}

async function ours(engine, loaded) {
  const logLikelihoods = [];
  const onSample = (_task, _index, sample) => logLikelihoods.push(...sample.logLikelihoods);
  const { seconds } = await evaluateTasks(engine, loaded, { limit, onSample });
  return { seconds, logLikelihoods };
}

function check(own, other) {
  if (own.length !== other.length) throw new Error(`requests differ: ${own.length}, the harness ${other.length}`);
  own.forEach((value, i) => {
    if (!(Math.abs(value - other[i]) < 1e-3 * (1 + Math.abs(other[i]))))
      throw new Error(`request ${i}: log-likelihood ${value}, the harness ${other[i]}`);
  });
}

let engine = null;
try {
  await buildEngine(chosen.model, join(folder, "engine"), { weights: "f32" });
  engine = await Engine.load(join(folder, "engine"), { threads });
  const loaded = await readTasks([{ task, file }]);
  const { tokens, versions } = await answer();
  const rounds = [];
  for (let round = -1; round < chosen.rounds; ++round) {
    const turns = [() => ours(engine, loaded), harness];
    const first = await turns[Math.abs(round) % 2]();
    const second = await turns[1 - (Math.abs(round) % 2)]();
    const [own, other] = round % 2 === 0 ? [first, second] : [second, first];
    check(own.logLikelihoods, other.logLikelihoods);
    if (round >= 0) rounds.push({ own: own.seconds, other: other.seconds });
  }
  const row = (name, pick) => {
    const seconds = median(rounds.map(pick));
    return { name, seconds: seconds.toFixed(1), "tokens/s": (tokens / seconds).toFixed(0) };
  };
  const { isa, model: cpu } = binding.cpuInfo();
  table(`${task}, ${limit} documents, ${tokens} tokens of requests, ${threads} threads, ${isa}, ${cpu}`, [
    row("espalier", ({ own }) => own),
    row(`lm-eval ${versions.lm_eval}, torch ${versions.torch}, batch ${chosen.batch}`, ({ other }) => other),
  ]);
  const ratios = rounds.map(({ own, other }) => other / own);
  console.log(
    `harness / espalier: median ${median(ratios).toFixed(2)}, quartiles ${quartiles(ratios)}, ${ratios.length} rounds`,
  );
} finally {
  peer.stdin.end();
  await engine?.dispose();
  rmSync(folder, { recursive: true, force: true });
}
