// Load, generate, dispose, many times over: nothing may stay behind. The last check leaks on purpose, to see that the
// measurement would notice.
import { Engine } from "../../dist/index.js";
import {
  buildInto,
  MB,
  openHandles,
  requireAtMost,
  requireEqual,
  settledRss,
  someIds,
  temporaryDirectory,
  tinyModel,
} from "./measure.mjs";

const WARM_UP = 60;
const CYCLES = 200;
const ROUNDS = 4;
/** 25 KB a cycle; LeakSanitizer finds what is smaller. */
const LARGEST_GROWTH_MB = 5;

const path = await buildInto(temporaryDirectory(), tinyModel, "f32");

async function cycle(seed) {
  const engine = await Engine.load(path);
  const { vocabSize } = engine.spec;
  const cancelled = new AbortController();
  const generations = [
    engine.generate({ ids: someIds(20, vocabSize, seed), maxTokens: 20, ignoreEos: true }).result(),
    engine.generate({ ids: someIds(3, vocabSize, seed), maxTokens: 20, temperature: 1, logprobs: 2 }).result(),
    engine
      .generate({ ids: [1], maxTokens: 30, signal: cancelled.signal })
      .result()
      .catch(() => undefined),
  ];
  cancelled.abort();
  await Promise.all(generations);
  await engine.logits(someIds(10, vocabSize, seed), { all: true });
  await engine
    .generate({ ids: [vocabSize] })
    .result()
    .catch(() => undefined); // refused
  await engine.dispose();
}

/** The smallest growth of several rounds: V8 and malloc enlarge their heaps by steps now and then, a leak always grows. */
async function growthMB(body) {
  let smallest = Infinity;
  for (let round = 0; round < ROUNDS && smallest > LARGEST_GROWTH_MB; ++round) {
    const before = await settledRss();
    for (let i = 0; i < CYCLES; ++i) await body(i);
    smallest = Math.min(smallest, ((await settledRss()) - before) / MB);
  }
  return smallest;
}

for (let i = 0; i < WARM_UP; ++i) await cycle(i);
const handles = openHandles();
requireAtMost(`growth over ${CYCLES} cycles`, await growthMB(cycle), LARGEST_GROWTH_MB, "MB");
if (handles === null) console.log("skipped: threads and open files, this system has no /proc");
else {
  const after = openHandles();
  requireEqual("threads after the cycles", after.threads, handles.threads);
  requireEqual("open files after the cycles", after.files, handles.files);
}

const kept = [];
const leaked = await growthMB(async (i) => {
  await cycle(i);
  kept.push(Buffer.alloc(50_000, 1));
});
requireAtMost("growth that must be seen when 50 KB a cycle are kept: minus", -leaked, -LARGEST_GROWTH_MB, "MB");
