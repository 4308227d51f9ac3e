// SPDX-License-Identifier: Apache-2.0
/**
 * One process at a time by a lock file. Its owner touches it while it works; one whose owner is gone, or that was not
 * touched for a while, was left by a process that died and is taken over.
 */
import { randomBytes } from "node:crypto";
import { open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { throwIfAborted } from "../abort.js";
import { EspalierError } from "../errors.js";
import { toWriteError } from "./atomic-directory.js";
import { isProcessAlive } from "./process-alive.js";

const TOUCH_MS = 2_000;
const STALE_MS = 15_000;
const POLL_MS = 100;

export interface LockOptions {
  signal?: AbortSignal | undefined;
  /** Called once when another process holds the lock; what it throws ends the waiting. */
  onWait?: () => void;
  staleMs?: number;
}

/** Runs `work` while holding the lock file at `path`. ERR_DISK_FULL, ERR_FILE_WRITE. */
export async function withLock<T>(path: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  let waited = false;
  while (!(await acquire(path))) {
    throwIfAborted(options.signal);
    if (await removeStale(path, options.staleMs ?? STALE_MS)) continue;
    if (!waited) options.onWait?.();
    waited = true;
    await sleep(POLL_MS);
  }
  const touch = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, TOUCH_MS);
  try {
    return await work();
  } finally {
    clearInterval(touch);
    await rm(path, { force: true });
  }
}

/** A process of this machine that is gone is noticed at once; this is for one of another machine or container. */
const STALE_WORK_MS = 60_000;

/** As withLock, without waiting: another process that holds it is ERR_RUN_BUSY with these words. */
export function withOwnLock<T>(
  path: string,
  { signal, busy }: { signal: AbortSignal | undefined; busy: string },
  work: () => Promise<T>,
): Promise<T> {
  const onWait = (): never => {
    throw new EspalierError("ERR_RUN_BUSY", busy);
  };
  return withLock(path, { signal, onWait, staleMs: STALE_WORK_MS }, work);
}

async function acquire(path: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    try {
      await file.writeFile(`${process.pid} ${hostname()}`).finally(() => file.close());
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw toWriteError(error, path);
  }
}

/** Whether the lock is free now. */
async function removeStale(path: string, staleMs: number): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  if (found === null) return true;
  const [pid, host] = (await readFile(path, "utf8").catch(() => "")).split(" ");
  const ownerIsGone =
    host === hostname() && (!isProcessAlive(Number(pid)) || isOfEarlierLife(Number(pid), found.mtimeMs));
  if (!ownerIsGone && Date.now() - found.mtimeMs < staleMs) return false;
  // Of several that see it, one wins the rename.
  const taken = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  await rename(path, taken).catch(() => {});
  await rm(taken, { force: true });
  return true;
}

/** A restarted container gives a process the same number again: a lock of ours was touched since we started. */
function isOfEarlierLife(pid: number, touchedMs: number): boolean {
  return pid === process.pid && touchedMs < Date.now() - process.uptime() * 1000;
}
