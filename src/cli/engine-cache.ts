// SPDX-License-Identifier: Apache-2.0
/**
 * Engines that verbs build on the fly: kept in the cache, the ones used longest ago removed when there are too many.
 */
import { readdir, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../errors.js";
import { cacheDirectory } from "../files/cache-directory.js";

const MANIFEST = "engine.json";
const DEFAULT_GIGABYTES = 20;
/** Another process may have chosen such an engine and not have opened it yet. */
const RECENT_MS = 600_000;

export function cachedEnginesDirectory(): string {
  return join(cacheDirectory(), "engines");
}

/** Bytes that engines may take together: ESPALIER_ENGINE_CACHE_GB, or 20 GB. ERR_ARGUMENT when that is no number. */
export function engineCacheLimit(): number {
  const given = process.env["ESPALIER_ENGINE_CACHE_GB"];
  if (given === undefined || given === "") return DEFAULT_GIGABYTES * 1e9;
  const gigabytes = Number(given);
  if (gigabytes >= 0) return gigabytes * 1e9;
  throw new EspalierError(
    "ERR_ARGUMENT",
    `ESPALIER_ENGINE_CACHE_GB: expected a number of gigabytes, 0 or more, found "${given}"`,
  );
}

/** Removes the engines used longest ago until the others take `limit` bytes; `current` and recent ones stay. */
export async function trimEngineCache(current: string, limit: number, now = Date.now()): Promise<void> {
  const root = cachedEnginesDirectory();
  const engines = await Promise.all((await readdir(root)).map((name) => measure(join(root, name))));
  let bytes = engines.reduce((sum, engine) => sum + engine.bytes, 0);
  engines.sort((a, b) => a.usedMs - b.usedMs);
  for (const engine of engines) {
    if (bytes <= limit) return;
    if (engine.path === current || now - engine.usedMs < RECENT_MS) continue;
    await rm(engine.path, { recursive: true, force: true });
    bytes -= engine.bytes;
  }
}

/** Notes that an engine was used now. */
export async function markUsed(directory: string): Promise<void> {
  const now = new Date();
  // A cache that cannot be written to is no reason to fail.
  await utimes(join(directory, MANIFEST), now, now).catch(() => undefined);
}

interface CachedEngine {
  path: string;
  bytes: number;
  usedMs: number;
}

/** One that vanishes meanwhile takes nothing. */
async function measure(path: string): Promise<CachedEngine> {
  try {
    const files = await Promise.all((await readdir(path)).map((name) => stat(join(path, name))));
    const { mtimeMs } = await stat(join(path, MANIFEST)).catch(() => stat(path));
    return { path, bytes: files.reduce((sum, { size }) => sum + size, 0), usedMs: mtimeMs };
  } catch {
    return { path, bytes: 0, usedMs: Infinity };
  }
}
