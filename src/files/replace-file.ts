// SPDX-License-Identifier: Apache-2.0
/** A small file that is replaced whole: written beside its place, then renamed. */
import { randomBytes } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";
import { toWriteError } from "./atomic-directory.js";

export async function replaceFile(path: string, text: string): Promise<void> {
  const beside = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeFile(beside, text, { flag: "wx" });
    await rename(beside, path);
  } catch (cause) {
    await rm(beside, { force: true });
    throw toWriteError(cause, path);
  }
}
