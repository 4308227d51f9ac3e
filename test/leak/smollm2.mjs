// What an engine of a real model keeps in memory while it works, and what is left when it is disposed. Counted beyond Node
// and the tokenizer.
import { statSync } from "node:fs";
import { join } from "node:path";
import { Engine } from "../../dist/index.js";
import {
  buildInto,
  cachedSmolLm2,
  MB,
  report,
  requireAtMost,
  settledRss,
  someIds,
  temporaryDirectory,
  withoutTokenizer,
} from "./measure.mjs";

const OVERHEAD_MB = 60;
const LOADS = 5;
const PROMPT_TOKENS = 512;
const NEW_TOKENS = 64;
const PAGE_TOKENS = 32; // native/engine/kv_pages.h

/** Median milliseconds of loading; the weights are in the page cache. */
async function loadMs(path) {
  const times = [];
  for (let i = 0; i < LOADS; ++i) {
    const start = performance.now();
    const engine = await Engine.load(path);
    times.push(performance.now() - start);
    await engine.dispose();
  }
  return times.sort((a, b) => a - b)[LOADS >> 1];
}

async function checkMemory(path, weights) {
  const before = await settledRss();
  const engine = await Engine.load(path);
  await engine
    .generate({ ids: someIds(PROMPT_TOKENS, engine.spec.vocabSize), maxTokens: NEW_TOKENS, ignoreEos: true })
    .result();
  const { kvBytes, pagesTotal } = engine.stats();
  const pages = Math.ceil((PROMPT_TOKENS + NEW_TOKENS) / PAGE_TOKENS);
  const touchedMB = (pages * kvBytes) / pagesTotal / MB;
  const weightsMB = statSync(join(path, "weights.bin")).size / MB;
  const during = ((await settledRss()) - before) / MB;
  report(`${weights}: weights`, weightsMB, "MB");
  report(`${weights}: KV cache touched, of ${(kvBytes / MB).toFixed(0)} MB reserved`, touchedMB, "MB");
  requireAtMost(`${weights}: resident while loaded`, during, weightsMB + touchedMB + OVERHEAD_MB, "MB");
  await engine.dispose();
  requireAtMost(`${weights}: resident after dispose`, ((await settledRss()) - before) / MB, OVERHEAD_MB, "MB");
}

const model = cachedSmolLm2();
if (model !== null) {
  const folder = temporaryDirectory();
  for (const weights of process.argv.slice(2)) {
    const path = withoutTokenizer(await buildInto(folder, model, weights));
    await checkMemory(path, weights);
    report(`${weights}: load, median of ${LOADS} (100 expected)`, await loadMs(path), "ms");
  }
}
