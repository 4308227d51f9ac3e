/**
 * A directory or file that appears whole or not at all: filled beside its place, synced, renamed. On any failure, a full disk
 * and an abort among them, nothing is left behind.
 */
import { randomBytes } from "node:crypto";
import { lstat, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { types } from "node:util";
import { throwIfAborted } from "../abort.js";
import { EspalierError } from "../errors.js";
import { show } from "../model/parse-fields.js";
import { isProcessAlive } from "./process-alive.js";

export interface AtomicDirectoryOptions {
  signal?: AbortSignal | undefined;
}

/**
 * Calls `fill(staging)` to write the files, then puts the directory in place. ERR_OUTPUT_EXISTS when `target` is there,
 * ERR_DISK_FULL, ERR_FILE_WRITE, ERR_ABORTED.
 *
 * @example await writeDirectoryAtomically("out", (staging) => writeFile(join(staging, "config.json"), "{}"))
 */
export function writeDirectoryAtomically(
  target: string,
  fill: (staging: string) => Promise<void>,
  options: AtomicDirectoryOptions = {},
): Promise<void> {
  return writeBeside(target, "output directory", options, async (staging) => {
    await mkdir(staging);
    await fill(staging);
    await syncTree(staging);
  });
}

/**
 * The same for one file: calls `write(staging)` to make it.
 *
 * @example await writeFileAtomically("model.gguf", (staging) => writeFile(staging, bytes))
 */
export function writeFileAtomically(
  target: string,
  write: (staging: string) => Promise<void>,
  options: AtomicDirectoryOptions = {},
): Promise<void> {
  return writeBeside(target, "output file", options, async (staging) => {
    await write(staging);
    await syncPath(staging);
  });
}

async function writeBeside(
  target: string,
  what: string,
  options: AtomicDirectoryOptions,
  make: (staging: string) => Promise<void>,
): Promise<void> {
  if (typeof (target as unknown) !== "string" || target === "")
    throw new EspalierError(
      "ERR_ARGUMENT",
      `${what}: expected a path, found ${target === "" ? "an empty string" : show(target)}`,
    );
  const place = resolve(target);
  await refuseExisting(place, target);
  const parent = dirname(place);
  const staging = join(parent, `.${basename(place)}.espalier-${process.pid}-${randomBytes(4).toString("hex")}`);
  try {
    throwIfAborted(options.signal);
    await makeDirectory(parent);
    await removeAbandoned(parent, basename(place));
    await make(staging);
    throwIfAborted(options.signal);
    await refuseExisting(place, target);
    await rename(staging, place);
    await syncPath(parent);
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    throw toWriteError(error, target);
  }
}

const ABANDONED_AFTER_MS = 10 * 60_000;

/** Removes what killed processes left beside the target: the process is gone and nothing was written for a while. */
async function removeAbandoned(parent: string, name: string): Promise<void> {
  const prefix = `.${name}.espalier-`;
  for (const entry of await readdir(parent)) {
    const [, pidText] = entry.startsWith(prefix) ? (/^(\d+)-[0-9a-f]{8}$/.exec(entry.slice(prefix.length)) ?? []) : [];
    const pid = Number(pidText ?? 0);
    if (pid === 0 || isProcessAlive(pid)) continue;
    const path = join(parent, entry);
    if (Date.now() - (await lastWriteMs(path)) > ABANDONED_AFTER_MS) await rm(path, { recursive: true, force: true });
  }
}

/** Of a file, or of a directory or anything in it; now where something vanishes meanwhile. */
async function lastWriteMs(path: string): Promise<number> {
  try {
    const inside = (await lstat(path)).isDirectory() ? await readdir(path) : [];
    const paths = [path, ...inside.map((name) => join(path, name))];
    return Math.max(...(await Promise.all(paths.map(async (each) => (await lstat(each)).mtimeMs))));
  } catch {
    return Date.now();
  }
}

/**
 * As writeDirectoryAtomically, for work that takes long: when it is stopped, by a signal or a kill, what it wrote stays
 * beside `target`, and the next call's `fill` finds it in `staging`. Any other failure leaves nothing.
 */
export async function writeDirectoryResumably(
  target: string,
  fill: (staging: string) => Promise<void>,
  options: AtomicDirectoryOptions = {},
): Promise<void> {
  if (target === "")
    throw new EspalierError("ERR_ARGUMENT", "output directory: expected a path, found an empty string");
  const place = resolve(target);
  await refuseExisting(place, target);
  const parent = dirname(place);
  const staging = join(parent, `.${basename(place)}.espalier-unfinished`);
  try {
    throwIfAborted(options.signal);
    await makeDirectory(parent);
    await makeDirectory(staging);
    await fill(staging);
    await syncTree(staging);
    throwIfAborted(options.signal);
    await refuseExisting(place, target);
    await rename(staging, place);
    await syncPath(parent);
  } catch (error) {
    if (options.signal?.aborted !== true) await rm(staging, { recursive: true, force: true });
    throw toWriteError(error, target);
  }
}

/** A file-system error as a coded one; everything else is returned as it came. */
export function toWriteError(error: unknown, target: string): unknown {
  if (error instanceof EspalierError || !types.isNativeError(error)) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT")
    return new EspalierError("ERR_DISK_FULL", `${target}: ${error.message}`, { cause: error });
  if (code === "ENOTEMPTY" || code === "EEXIST") return existsError(target);
  if (target.includes("\0"))
    return new EspalierError("ERR_ARGUMENT", `${JSON.stringify(target)}: expected a path without null bytes`, {
      cause: error,
    });
  if ((error as NodeJS.ErrnoException).syscall !== undefined)
    return new EspalierError("ERR_FILE_WRITE", `${target}: ${error.message}`, { cause: error });
  return error;
}

function existsError(target: string): EspalierError {
  return new EspalierError("ERR_OUTPUT_EXISTS", `${target} exists already`);
}

async function refuseExisting(place: string, target: string): Promise<void> {
  const there = await lstat(place).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw toWriteError(error, target);
    },
  );
  if (there) throw existsError(target);
}

/** With its parents. fs.mkdir's own `recursive` never returns where a file system refuses with ENOENT (/proc). */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") {
      if ((await stat(path)).isDirectory()) return;
      throw Object.assign(new Error(`${path} is not a directory`, { cause: error }), {
        code: "ENOTDIR",
        syscall: "mkdir",
      });
    }
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    await makeDirectory(dirname(path));
    await mkdir(path);
  }
}

async function syncTree(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await syncTree(join(path, entry.name));
    else if (entry.isFile()) await syncPath(join(path, entry.name));
  }
  await syncPath(path);
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
