// SPDX-License-Identifier: Apache-2.0
/**
 * Finds the .bin/.idx pairs that an option names: a prefix, a directory, or a blend.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../../errors.js";
import { idxPath } from "../indexed-dataset/index.js";
import type { BlendEntry } from "../types.js";

/** Prefixes with weights that sum to 1; a single prefix has weight 1. */
export async function resolveSources(data: string | readonly BlendEntry[]): Promise<BlendEntry[]> {
  const entries = typeof data === "string" ? await parseData(data) : data;
  if (entries.length === 0) throw new EspalierError("ERR_DATA_BLEND", "data: expected a prefix or a blend, found none");
  for (const { prefix, weight } of entries) {
    if (typeof prefix !== "string" || !(weight > 0 && Number.isFinite(weight)))
      throw new EspalierError("ERR_DATA_BLEND", `data: expected weights above 0, found ${weight} for ${prefix}`);
  }
  const sum = entries.reduce((total, { weight }) => total + weight, 0);
  return Promise.all(
    entries.map(async ({ prefix, weight }) => ({ prefix: await findPrefix(prefix), weight: weight / sum })),
  );
}

async function parseData(data: string): Promise<BlendEntry[]> {
  if (await isThere(data)) return [{ prefix: data, weight: 1 }];
  const words = data.trim().split(/\s+/);
  if (words.length < 2) return [{ prefix: data, weight: 1 }]; // findPrefix tells what is missing
  const entries: BlendEntry[] = [];
  for (let i = 0; i < words.length; i += 2) {
    const [weight, prefix] = [Number(words[i]), words[i + 1]];
    if (!Number.isFinite(weight) || prefix === undefined)
      throw new EspalierError(
        "ERR_DATA_BLEND",
        `data: expected a path that exists, or weights and prefixes in turn, found ${JSON.stringify(data)}`,
      );
    entries.push({ prefix, weight });
  }
  return entries;
}

async function isThere(path: string): Promise<boolean> {
  return (await kindOf(path)) !== null || (await kindOf(idxPath(path))) !== null;
}

async function kindOf(path: string): Promise<"file" | "directory" | null> {
  return stat(path).then(
    (found) => (found.isDirectory() ? "directory" : "file"),
    () => null,
  );
}

/** "corpus/text_document", either of its files, or a directory that holds one pair. */
async function findPrefix(path: string): Promise<string> {
  if ((await kindOf(idxPath(path))) === "file") return path;
  const kind = await kindOf(path);
  if (kind === "file" && /\.(idx|bin)$/.test(path)) return path.slice(0, -4);
  if (kind !== "directory")
    throw new EspalierError("ERR_DATA_NOT_FOUND", `${path}: neither ${idxPath(path)} nor a directory of that name`);
  const found = (await readdir(path)).filter((name) => name.endsWith(".idx")).sort();
  if (found.length === 1) return join(path, found[0]!.slice(0, -4));
  if (found.length === 0) throw new EspalierError("ERR_DATA_NOT_FOUND", `${path}: the directory holds no .idx file`);
  throw new EspalierError(
    "ERR_DATA_BLEND",
    `${path}: expected one .idx file, found ${found.join(", ")}: name one, or a blend of them`,
  );
}
