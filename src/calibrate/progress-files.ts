// SPDX-License-Identifier: Apache-2.0
/**
 * How far a calibration pass came, in a directory, so that the next one goes on from there: the statistics of the blocks
 * done, the hidden states after the last of them, and progress.json, written last.
 */
import { createHash } from "node:crypto";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { toWriteError } from "../files/atomic-directory.js";
import { replaceFile } from "../files/replace-file.js";

const NAME = "progress.json";

const schema = z.object({
  /** Of model, samples and statistics. */
  signature: z.string(),
  blocks: z.number().int().min(1),
  /** Numbers of each request. */
  sizes: z.array(z.number().int().min(0)),
});

export interface PassProgress {
  /** [blocks done][request] */
  statistics: Float64Array[][];
  /** Where the hidden states stand. */
  states: string;
}

export function passSignature(parts: unknown, tokens: Int32Array): string {
  const hash = createHash("sha256").update(JSON.stringify(parts)).update("\0");
  return hash.update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength)).digest("hex");
}

/** null when there is nothing to go on from; what other passes left is removed. */
export async function readProgress(directory: string, signature: string): Promise<PassProgress | null> {
  const parsed = schema.safeParse(await readJson(join(directory, NAME)));
  if (parsed.success && parsed.data.signature === signature) {
    const { blocks, sizes } = parsed.data;
    const bytes = await readFile(statisticsPath(directory, blocks)).catch(() => null);
    const perBlock = sizes.reduce((sum, size) => sum + size, 0);
    if (bytes?.length === 8 * perBlock * blocks)
      return { statistics: cut(bytes, blocks, sizes), states: statesPath(directory, blocks) };
  }
  await removeProgress(directory);
  return null;
}

/** `saveStates` writes the hidden states to the path it is given; a pass that is over has none. */
export async function writeProgress(
  directory: string,
  signature: string,
  statistics: readonly Float64Array[][],
  saveStates: (path: string) => Promise<void> = async () => {},
): Promise<void> {
  const blocks = statistics.length;
  try {
    await saveStates(statesPath(directory, blocks));
    const values = statistics.flat();
    await writeFile(statisticsPath(directory, blocks), Buffer.concat(values.map(bytesOf)));
  } catch (error) {
    throw toWriteError(error, directory);
  }
  const sizes = (statistics[0] ?? []).map((values) => values.length);
  await replaceFile(join(directory, NAME), JSON.stringify({ signature, blocks, sizes }));
  await removeProgress(directory, blocks);
}

/** Removes what a pass left, but for its progress after `keep` blocks. */
export async function removeProgress(directory: string, keep?: number): Promise<void> {
  const kept = keep === undefined ? [] : [NAME, ...[statesPath, statisticsPath].map((path) => path("", keep))];
  for (const name of await readdir(directory))
    if (/^(progress\.json|pass-\d+\.(states|statistics))$/.test(name) && !kept.includes(name))
      await rm(join(directory, name), { force: true });
}

const statesPath = (directory: string, blocks: number): string => join(directory, `pass-${blocks}.states`);
const statisticsPath = (directory: string, blocks: number): string => join(directory, `pass-${blocks}.statistics`);

function bytesOf(values: Float64Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}

function cut(bytes: Buffer, blocks: number, sizes: readonly number[]): Float64Array[][] {
  const all = new Float64Array(bytes.length / 8);
  Buffer.from(all.buffer).set(bytes);
  let offset = 0;
  return Array.from({ length: blocks }, () => sizes.map((size) => all.slice(offset, (offset += size))));
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return null;
  }
}
