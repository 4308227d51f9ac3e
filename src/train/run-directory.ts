// SPDX-License-Identifier: Apache-2.0
/**
 * A run directory: recipe.yaml (the options as resolved), metrics.jsonl, TensorBoard events, checkpoints/, model/,
 * report.json and report.html. One process at a time works in it.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../errors.js";
import { makeDirectory, toWriteError } from "../files/atomic-directory.js";
import { withOwnLock } from "../files/lock.js";
import { replaceFile } from "../files/replace-file.js";
import type { ResolvedTrainOptions } from "./config.js";
import { RECIPE, recipeText } from "./recipe.js";

const LOCK = ".lock";

export interface RunPaths {
  directory: string;
  checkpoints: string;
  model: string;
}

export function runPaths(directory: string): RunPaths {
  return { directory, checkpoints: join(directory, "checkpoints"), model: join(directory, "model") };
}

/** Refuses what `out` holds unless the options allow it. Writes nothing. */
export async function checkRunDirectory({ out, resume, overwrite }: ResolvedTrainOptions): Promise<void> {
  const names = await namesIn(out);
  if (names.length === 0) return;
  if (!names.includes(RECIPE))
    throw new EspalierError("ERR_OUTPUT_EXISTS", `${out} exists and holds no run (no ${RECIPE}): ${names[0]} is in it`);
  if (!resume && !overwrite)
    throw new EspalierError("ERR_OUTPUT_EXISTS", `${out} holds a run already`, {
      hint: "Leave --no-resume out to go on with it, or give --overwrite to remove it.",
    });
}

/** Makes the directory and calls `work` while owning it; with `overwrite`, an earlier run is removed first. */
export async function withRunDirectory<T>(
  options: ResolvedTrainOptions,
  signal: AbortSignal | undefined,
  work: (paths: RunPaths) => Promise<T>,
): Promise<T> {
  const { out } = options;
  try {
    await makeDirectory(out);
  } catch (error) {
    throw toWriteError(error, out);
  }
  const busy = `${out}: another process works on this run`;
  return withOwnLock(join(out, LOCK), { signal, busy }, async () => {
    await checkRunDirectory(options);
    if (options.overwrite) await removeRun(out);
    await replaceFile(join(out, RECIPE), recipeText(options));
    return work(runPaths(out));
  });
}

async function namesIn(out: string): Promise<string[]> {
  try {
    return (await readdir(out)).filter((name) => !name.startsWith("."));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    if (code === "ENOTDIR") throw new EspalierError("ERR_OUTPUT_EXISTS", `${out} exists and is no directory`);
    throw toWriteError(error, out);
  }
}

/** Only what a run writes: nothing else that lies in the directory is touched. */
async function removeRun(out: string): Promise<void> {
  const ours = /^(recipe\.yaml|metrics\.jsonl|events\.out\.tfevents\..*|checkpoints|model|report\.(json|html))$/;
  for (const name of await namesIn(out))
    if (ours.test(name)) await rm(join(out, name), { recursive: true, force: true });
}
