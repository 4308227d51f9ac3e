// Builds f32 and INT8 engines of a model, and compares what INT8 costs (perplexity) with what it gives (size, speed).
// Names a model on the command line, not an engine; a text file may follow.
import { readFile } from "node:fs/promises";
import { bench, Engine, evaluatePerplexity } from "espalier";
import { buildOnce, modelFromArguments } from "./engine.mjs";

const model = await modelFromArguments();
const text = await readFile(process.argv[3] ?? new URL("../LICENSE", import.meta.url), "utf8");

const directories = { f32: await buildOnce(model, "f32"), int8: await buildOnce(model, "int8-w8a8") };

for (const [name, directory] of Object.entries(directories)) {
  const engine = await Engine.load(directory);
  try {
    const { perplexity, tokens } = await evaluatePerplexity(engine, { text, window: 256 });
    const megabytes = engine.manifest.weights.sizeBytes / 1e6;
    console.log(
      `${name.padEnd(5)} ${megabytes.toFixed(0)} MB, perplexity ${perplexity.toFixed(3)} over ${tokens} tokens`,
    );
  } finally {
    await engine.dispose();
  }
}

const cells = await bench(directories.f32, { compare: directories.int8, isl: [128], osl: [32], repeats: 3 });
for (const { engine, ttftMs, decodeTokensPerSecond, comparison } of cells) {
  const name = engine === directories.f32 ? "f32" : "int8";
  console.log(
    `${name.padEnd(5)} first token after ${ttftMs.toFixed(0)} ms, then ${decodeTokensPerSecond.toFixed(0)} a second`,
  );
  if (comparison === undefined) continue;
  const { median, min, max } = comparison.ratios.decodeTokensPerSecond;
  console.log(
    `int8 decodes ${median.toFixed(2)} times as fast as f32 (${min.toFixed(2)} to ${max.toFixed(2)}), measured turn by turn`,
  );
}
