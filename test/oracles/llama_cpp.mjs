// SPDX-License-Identifier: Apache-2.0
// Does llama.cpp read a GGUF file as espalier does? Compares ids of a text, next-token distributions after each of them
// and greedy continuations; exits with 1 when they disagree. llama.cpp rounds activations to 8 bits before quantized
// matrices, espalier does not: the bound on the mean Kullback-Leibler divergence allows for that.
//
//   mkdir peers && cd peers && npm init -y
//   NODE_LLAMA_CPP_SKIP_DOWNLOAD=true npm install --ignore-scripts --omit=optional node-llama-cpp@3.22.1
//   npm pack @node-llama-cpp/linux-x64@3.22.1     (unpack it to node_modules/@node-llama-cpp/linux-x64)
//   node test/oracles/llama_cpp.mjs peers MODEL.gguf... [--text "..."] [--tokens 24] [--bound 0.02]
import { join, resolve } from "node:path";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { buildEngine, Engine, loadTokenizer, openCheckpoint } from "../../dist/index.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string", default: "Once upon a time, in 1984, there was a little girl who didn't like café." },
    tokens: { type: "string", default: "24" },
    bound: { type: "string", default: "0.02" },
  },
});
const [peers, ...models] = positionals;
if (peers === undefined || models.length === 0)
  throw new Error("usage: llama_cpp.mjs PEERS MODEL.gguf... [--text TEXT]");
const entry = join(resolve(peers), "node_modules/node-llama-cpp/dist/index.js");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);
const llama = await getLlama({ gpu: false, build: "never", progressLogs: false, logLevel: LlamaLogLevel.error });

/** ids, log-probabilities after each, greedy continuation. */
async function byLlamaCpp(path) {
  const model = await llama.loadModel({ modelPath: path, useMmap: true });
  const context = await model.createContext({ contextSize: 512, threads: 2 });
  const sequence = context.getSequence();
  const tokens = [...model.tokenize(values.text, true)];
  const rows = await sequence.controlledEvaluate(
    tokens.map((token) => [token, { generateNext: { probabilities: true } }]),
  );
  const logProbabilities = rows.map((row) => {
    const out = new Float64Array(model.fileInfo.metadata.llama.vocab_size);
    for (const [token, probability] of row.next.probabilities) out[token] = Math.log(probability);
    return out;
  });
  await sequence.clearHistory();
  const greedy = [];
  for await (const token of sequence.evaluate(tokens, { temperature: 0, yieldEogToken: true })) {
    greedy.push(token);
    if (greedy.length >= Number(values.tokens)) break;
  }
  await context.dispose();
  await model.dispose();
  return { ids: tokens, logProbabilities, greedy };
}

async function tokenizerKeys(path) {
  const checkpoint = await openCheckpoint(path);
  const { gguf } = checkpoint.tokenizerFiles;
  checkpoint.close();
  return gguf;
}

async function byEspalier(path) {
  const tokenizer = await loadTokenizer({ gguf: await tokenizerKeys(path) });
  const ids = [...(await tokenizer.encode(values.text, { addSpecialTokens: false }))];
  await tokenizer.dispose();
  const work = mkdtempSync(join(tmpdir(), "espalier-oracle-"));
  try {
    await buildEngine(path, join(work, "engine"), { weights: "f32" });
    const engine = await Engine.load(join(work, "engine"));
    const rows = await engine.logits(ids, { all: true });
    const greedy = [];
    for (let all = [...ids]; greedy.length < Number(values.tokens);) {
      const [row] = await engine.logits(all);
      greedy.push(row.reduce((best, value, id) => (value > row[best] ? id : best), 0));
      all = [...all, greedy.at(-1)];
    }
    await engine.dispose();
    return { ids, logProbabilities: rows.map(logSoftmax), greedy };
  } finally {
    rmSync(work, { recursive: true });
  }
}

function logSoftmax(row) {
  const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = row.reduce((total, value) => total + Math.exp(value - top), 0);
  return Float64Array.from(row, (value) => value - top - Math.log(sum));
}

function divergence(ours, theirs) {
  let sum = 0;
  // A probability below the least float of theirs is no information.
  ours.forEach((log, i) => (sum += Number.isFinite(theirs[i]) ? Math.exp(log) * (log - theirs[i]) : 0));
  return sum;
}

let failed = false;
for (const path of models) {
  const ours = await byEspalier(path); // refuses files without a vocabulary, which llama.cpp's tokenizer aborts on
  const theirs = await byLlamaCpp(path);
  const sameIds = ours.ids.join() === theirs.ids.join();
  const divergences = ours.logProbabilities.map((row, i) => divergence(row, theirs.logProbabilities[i]));
  const mean = divergences.reduce((a, b) => a + b, 0) / divergences.length;
  const differs = ours.greedy.findIndex((id, i) => id !== theirs.greedy[i]);
  const ok = sameIds && Math.abs(mean) <= Number(values.bound);
  failed ||= !ok;
  console.log(
    `${ok ? "ok " : "BAD"} ${path}: ${ours.ids.length} ids ${sameIds ? "equal" : "DIFFER"}, ` +
      `divergence mean ${mean.toExponential(2)} max ${Math.max(...divergences).toExponential(2)}, ` +
      `greedy ${differs < 0 ? `${ours.greedy.length} equal` : `equal up to ${differs} of ${ours.greedy.length}`}`,
  );
}
process.exit(failed ? 1 : 0);
