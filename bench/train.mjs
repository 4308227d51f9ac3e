// How fast is a training step next to torch (CPU, float32, eager), and how much memory does it take? Both start from the same
// weights and see the same tokens; their losses are compared. Steps take turns, each waits while the other runs; the median
// of the ratios of neighbours counts.
//   node bench/train.mjs [--model small|smollm2|distill] [--rounds 10] [--threads 2] [--python python3]
// small: hidden 256, 6 layers, ffn 1600, vocab 2048, 16 x 256 tokens. smollm2: SmolLM2-135M's shape, 2 x 256.
// distill: 20 of its layers learn from all 30 by KL. Python needs torch and transformers (bench/peers/torch_train.py).
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { binding } from "../dist/binding.js";
import { expectedTensors } from "../dist/model/families.js";
import { median, options, quartiles, table } from "./support.mjs";

const chosen = options({
  model: "small",
  rounds: 10,
  threads: binding.cpuInfo().threads,
  python: "python3",
  dtype: "f32",
});
const folder = mkdtempSync(join(tmpdir(), "espalier-bench-"));
const peerPath = fileURLToPath(new URL("peers/torch_train.py", import.meta.url));
const peer = spawn(chosen.python, [peerPath, chosen.model, String(chosen.threads), folder], {
  stdio: ["pipe", "pipe", "inherit"],
});
const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]();

async function answer() {
  const { value, done } = await lines.next();
  if (done) throw new Error(`${chosen.python} ${peerPath} ended: it needs torch and transformers`);
  return JSON.parse(value);
}

function modelOf({ path, tensors, settings }) {
  const spec = {
    family: "llama",
    vocabSize: settings.vocab_size,
    hiddenSize: settings.hidden_size,
    intermediateSize: settings.intermediate_size,
    numLayers: settings.num_hidden_layers,
    numHeads: settings.num_attention_heads,
    numKvHeads: settings.num_key_value_heads,
    headDim: settings.head_dim,
    maxPositions: 512,
    normEps: 1e-6,
    hiddenAct: "silu",
    tieWordEmbeddings: true,
    attentionBias: false,
    attentionOutBias: false,
    mlpBias: false,
    rope: { type: "default", theta: 10000, rotaryDim: settings.head_dim, interleaved: false },
  };
  const file = new binding.MappedFile(path);
  const sources = expectedTensors(spec).map(({ name, role, part, layer }) => {
    const [offset, shape] = tensors[name];
    const [rows, cols] = shape.length === 1 ? [1, shape[0]] : shape;
    const source = { offset, sizeBytes: 4 * rows * cols, type: "f32", rows, cols };
    return { name, role, part, layer: layer ?? -1, file, source };
  });
  return { spec, tensors: sources };
}

function trainerOf(start) {
  const distils = start.teacher !== null;
  return new binding.NativeTrainer({
    model: modelOf(start.model),
    ...(distils ? { teacher: modelOf(start.teacher) } : {}),
    losses: [distils ? { kind: "kl", weight: 1, temperature: 1, topK: 0 } : { kind: "cross_entropy", weight: 1 }],
    maxSequences: start.sequences,
    sequenceLength: start.length,
    activationCheckpointing: false,
    activationDtype: chosen.dtype,
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-8,
    frozen: [],
    initSeed: 1,
    initStd: 0.02,
    threads: chosen.threads,
    isa: "auto",
  });
}

async function main() {
  const start = await answer();
  const trainer = trainerOf(start);
  const { sequences, length } = start;
  const batch = { sequences, length, tokens: Int32Array.from(start.tokens), labels: Int32Array.from(start.labels) };
  const step = async () => {
    const started = performance.now();
    const { tokens, sums } = await trainer.accumulate(batch);
    await trainer.update({ tokens, learningRate: 1e-4, weightDecay: 0.1, maxGradNorm: 1 });
    return { loss: sums.total / tokens, ms: performance.now() - started };
  };
  const torchStep = () => {
    peer.stdin.write("step\n");
    return answer();
  };
  const rounds = [];
  for (let round = -2; round < chosen.rounds; ++round) {
    const [ours, torch] =
      round % 2 === 0 ? [await step(), await torchStep()] : [await torchStep(), await step()].reverse();
    if (!(Math.abs(ours.loss - torch.loss) < 2e-3 * (1 + torch.loss)))
      throw new Error(`step ${round + 2}: losses differ: ${ours.loss}, torch ${torch.loss}`);
    if (round >= 0) rounds.push({ ours, torch });
  }
  const tokens = sequences * length;
  const ratios = rounds.map(({ ours, torch }) => torch.ms / ours.ms);
  const row = (name, pick, peakMB) => {
    const ms = median(rounds.map(pick));
    return {
      name,
      "ms a step": ms.toFixed(0),
      "tokens/s": ((1000 * tokens) / ms).toFixed(0),
      "peak MB": peakMB.toFixed(0),
    };
  };
  table(
    `training ${chosen.model}, ${sequences} x ${length} tokens, ${chosen.threads} threads, ${binding.cpuInfo().isa}`,
    [
      row("espalier", ({ ours }) => ours.ms, process.resourceUsage().maxRSS / 1024),
      row(`torch ${start.torch}`, ({ torch }) => torch.ms, rounds.at(-1).torch.peakMB),
    ],
  );
  console.log(
    `torch / espalier: median ${median(ratios).toFixed(2)}, quartiles ${quartiles(ratios)}, ${ratios.length} rounds`,
  );
  await trainer.close();
}

try {
  await main();
} finally {
  peer.stdin.end();
  rmSync(folder, { recursive: true, force: true });
}
