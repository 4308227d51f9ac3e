import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { engineCacheLimit, markUsed, trimEngineCache } from "../../../src/cli/engine-cache.js";
import { temporaryDirectory } from "../../temporary.js";

const root = temporaryDirectory();
const before = { ...process.env };
let count = 0;

beforeEach(() => {
  process.env["ESPALIER_CACHE"] = join(root, `cache-${++count}`);
});
afterEach(() => {
  for (const name of ["ESPALIER_CACHE", "ESPALIER_ENGINE_CACHE_GB"])
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
});

const now = Date.parse("2026-01-02T12:00:00Z");
const hours = (n: number): Date => new Date(now - n * 3_600_000);

/** 1000 bytes and a manifest of 10. */
function engine(name: string, used: Date): string {
  const directory = join(process.env["ESPALIER_CACHE"]!, "engines", name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "weights.bin"), Buffer.alloc(1000));
  writeFileSync(join(directory, "engine.json"), Buffer.alloc(10));
  utimesSync(join(directory, "engine.json"), used, used);
  return directory;
}

it("removes the engines used longest ago, and no more than it must", async () => {
  const [oldest, old, current] = [engine("a", hours(30)), engine("b", hours(3)), engine("c", hours(0))];
  await trimEngineCache(current, 3030, now);
  expect([oldest, old, current].map(existsSync)).toEqual([true, true, true]);
  await trimEngineCache(current, 3029, now);
  expect([oldest, old, current].map(existsSync)).toEqual([false, true, true]);
});

it("keeps the current one and those of the last minutes, whatever they take", async () => {
  const [old, recent, current] = [engine("a", hours(3)), engine("b", hours(0.1)), engine("c", hours(40))];
  await trimEngineCache(current, 0, now);
  expect([old, recent, current].map(existsSync)).toEqual([false, true, true]);
});

it("what was used last is marked", async () => {
  const directory = engine("a", hours(30));
  await markUsed(directory);
  expect(Date.now() - (await stat(join(directory, "engine.json"))).mtimeMs).toBeLessThan(60_000);
  await markUsed(join(root, "nowhere"));
});

it("takes its limit from the environment, and names what is none", () => {
  delete process.env["ESPALIER_ENGINE_CACHE_GB"];
  expect(engineCacheLimit()).toBe(20e9);
  process.env["ESPALIER_ENGINE_CACHE_GB"] = "0.5";
  expect(engineCacheLimit()).toBe(0.5e9);
  for (const bad of ["-1", "much"]) {
    process.env["ESPALIER_ENGINE_CACHE_GB"] = bad;
    expect(engineCacheLimit).toThrow(`found "${bad}"`);
  }
});
