// SPDX-License-Identifier: Apache-2.0
/**
 * Files that a recipe reads from outside: that they are there before anything runs, and what they hold, so that a step is run
 * again when they change.
 */
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fingerprintOf, openCheckpoint } from "../checkpoint/index.js";
import { isRecord } from "../json.js";

/** Larger files are known by size and samples. */
const WHOLE_BYTES = 64 << 20;
const SAMPLES = 64;
const SAMPLE_BYTES = 4096;

/** The texts of an option that may be paths: a blend's words, a list's items, the values of a mapping. */
export function pathsIn(value: unknown, words: readonly string[]): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pathsIn(item, words));
  if (isRecord(value)) return Object.values(value).flatMap((item) => pathsIn(item, words));
  if (typeof value !== "string") return [];
  const parts = isThere(value) ? [value] : value.trim().split(/\s+/);
  const isPath = (part: string): boolean => !Number.isFinite(Number(part)) && !part.startsWith("npm:");
  return parts.filter((part) => isPath(part) && !words.includes(part));
}

/** A file or directory, or the prefix of token files. */
export function isThere(path: string): boolean {
  return existsSync(path) || existsSync(`${path}.bin`);
}

/** sha256 of what is there: a model's own identity, or the files' names, sizes and contents. */
export async function contentOf(path: string): Promise<string> {
  if (!existsSync(path)) return hashFiles([`${path}.bin`, `${path}.idx`]);
  const info = await stat(path);
  if (!info.isDirectory()) return hashFiles([path]);
  if (existsSync(join(path, "config.json"))) {
    const model = await modelContent(path);
    if (model !== null) return model;
  }
  const entries = await readdir(path, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return hashFiles(files.filter((file) => !file.includes("/cache/")).sort(), path);
}

/** null: it is no model. */
async function modelContent(path: string): Promise<string | null> {
  try {
    await using model = await openCheckpoint(path);
    return await fingerprintOf(model);
  } catch {
    return null;
  }
}

async function hashFiles(files: readonly string[], root = ""): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) {
    const { size } = await stat(file);
    hash.update(`\0${file.slice(root.length)}\0${size}\0`);
    if (size <= WHOLE_BYTES) for await (const piece of createReadStream(file)) hash.update(piece as Buffer);
    else for await (const piece of samplesOf(file, size)) hash.update(piece);
  }
  return `sha256:${hash.digest("hex")}`;
}

async function* samplesOf(path: string, size: number): AsyncIterable<Buffer> {
  const file = await open(path);
  try {
    for (let i = 0; i < SAMPLES; ++i) {
      const position = Math.floor(((size - SAMPLE_BYTES) * i) / (SAMPLES - 1));
      const { bytesRead, buffer } = await file.read(Buffer.alloc(SAMPLE_BYTES), 0, SAMPLE_BYTES, position);
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
