// What the leak checks measure with. Each check is a process of its own, started with --expose-gc by `npm run test:leak`.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { cacheDirectory } from "../../dist/files/cache-directory.js";
import { buildEngine } from "../../dist/index.js";

export const MB = 1e6;
export const tinyModel = join(dirname(dirname(fileURLToPath(import.meta.url))), "fixtures/tiny-llama/plain-v4");

/** Where `npm run test:models` and `npm start` keep SmolLM2; null, and said, when it is not there. */
export function cachedSmolLm2() {
  const path = join(cacheDirectory(), "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
  if (existsSync(path)) return path;
  console.log("skipped: SmolLM2 is not in the cache (npm run test:models fetches it)");
  return null;
}

/** A directory that is removed when the process ends. */
export function temporaryDirectory() {
  const path = mkdtempSync(join(tmpdir(), "espalier-leak-"));
  process.on("exit", () => rmSync(path, { recursive: true, force: true }));
  return path;
}

export async function buildInto(folder, model, weights) {
  const out = join(folder, weights);
  await buildEngine(model, out, { weights });
  return out;
}

/** The engine without its tokenizer, whose memory and load time are counted apart. Prompts are ids. */
export function withoutTokenizer(engine) {
  const bare = `${engine}-bare`;
  mkdirSync(bare);
  for (const name of ["engine.json", "weights.bin"]) symlinkSync(join(engine, name), join(bare, name));
  return bare;
}

/** Resident bytes once garbage is collected and freed pages have gone back. */
export async function settledRss() {
  for (let i = 0; i < 4; ++i) {
    globalThis.gc();
    await sleep(25);
  }
  return process.memoryUsage().rss;
}

/** Threads and open files of this process; null where the system does not tell. */
export function openHandles() {
  if (!existsSync("/proc/self/status")) return null;
  const threads = Number(/^Threads:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  return { threads, files: readdirSync("/proc/self/fd").length };
}

/** Whole numbers below `limit` that look random and are the same each time. */
export function someIds(count, limit, seed = 1) {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * limit);
  });
}

/** Prints a measurement beside its bound; a broken bound fails the process. */
export function requireAtMost(what, value, bound, unit) {
  const ok = value <= bound;
  console.log(`${ok ? "ok    " : "FAILED"}  ${what}: ${value.toFixed(1)} ${unit}, at most ${bound.toFixed(1)}`);
  if (!ok) process.exitCode = 1;
}

export function requireEqual(what, value, expected) {
  const ok = value === expected;
  console.log(`${ok ? "ok    " : "FAILED"}  ${what}: ${value}, expected ${expected}`);
  if (!ok) process.exitCode = 1;
}

export function report(what, value, unit) {
  console.log(`        ${what}: ${value.toFixed(1)} ${unit}`);
}
