// How fast is `tokenize` next to Python's datasets with the tokenizers library, by as many processes as ours has threads? The
// corpus: paragraphs of two npm packages as JSON lines, `copies` times over. Runs take turns; the median of the ratios of
// neighbours counts. Both tokenizers load inside the measured time; Python's imports do not count.
//   node bench/tokenize.mjs [--rounds 5] [--copies 4] [--workers 2] [--tokenizer models/teacher] [--python python3]
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { tokenizeCorpus } from "../dist/data/index.js";
import { median, options, quartiles, table } from "./support.mjs";

const chosen = options({ rounds: 5, copies: 4, workers: 2, tokenizer: "models/teacher", python: "python3" });
const folder = mkdtempSync(join(tmpdir(), "espalier-bench-"));
const peer = fileURLToPath(new URL("peers/python_tokenize.py", import.meta.url));

function writeCorpus(path) {
  const require = createRequire(import.meta.url);
  const lines = [];
  for (const name of ["datasets-sotu", "datasets-moby-dick"]) {
    const data = join(dirname(require.resolve(`@stdlib/${name}/package.json`)), "data");
    for (const file of readdirSync(data).filter((entry) => entry.endsWith(".txt") && entry !== "data.txt"))
      for (const text of readFileSync(join(data, file), "utf8").split(/\n\s*\n/)) lines.push(JSON.stringify({ text }));
  }
  writeFileSync(path, `${lines.join("\n")}\n`.repeat(chosen.copies));
  return lines.length * chosen.copies;
}

async function ours(corpus, round) {
  const out = join(folder, `ours-${round}`);
  const started = performance.now();
  const { workers, tokenizer } = chosen;
  const { tokens } = await tokenizeCorpus({ inputs: [corpus], tokenizer, out, workers });
  return { seconds: (performance.now() - started) / 1000, tokens };
}

function python(corpus) {
  const tokenizer = chosen.tokenizer.endsWith(".json") ? chosen.tokenizer : join(chosen.tokenizer, "tokenizer.json");
  const args = [peer, corpus, tokenizer, String(chosen.workers)];
  return JSON.parse(execFileSync(chosen.python, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
}

try {
  const corpus = join(folder, "corpus.jsonl");
  const documents = writeCorpus(corpus);
  const bytes = readFileSync(corpus).length;
  const rounds = [];
  for (let round = -1; round < chosen.rounds; ++round) {
    const own = await ours(corpus, round);
    const other = python(corpus);
    if (own.tokens !== other.tokens) throw new Error(`tokens differ: ${own.tokens}, Python ${other.tokens}`);
    if (round >= 0) rounds.push({ own, other });
  }
  const row = (name, pick) => {
    const seconds = median(rounds.map(pick));
    return { name, seconds: seconds.toFixed(2), "MB/s": (bytes / 1e6 / seconds).toFixed(1) };
  };
  table(
    `tokenizing ${(bytes / 1e6).toFixed(0)} MB, ${documents} documents, ${chosen.workers} workers, ${chosen.tokenizer}`,
    [row("espalier", ({ own }) => own.seconds), row("datasets + tokenizers", ({ other }) => other.seconds)],
  );
  const ratios = rounds.map(({ own, other }) => other.seconds / own.seconds);
  console.log(
    `Python / espalier: median ${median(ratios).toFixed(2)}, quartiles ${quartiles(ratios)}, ${ratios.length} rounds`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
