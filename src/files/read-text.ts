// SPDX-License-Identifier: Apache-2.0
/** A whole text file. */
import { readFile } from "node:fs/promises";
import { EspalierError } from "../errors.js";

/** ERR_FILE_READ: not there, not to be read, or not UTF-8. */
export async function readText(path: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await readFile(path));
  } catch (cause) {
    if ((cause as Error).name === "TypeError")
      throw new EspalierError("ERR_FILE_READ", `${path}: expected UTF-8 text`, { cause });
    throw new EspalierError("ERR_FILE_READ", `${path}: ${(cause as Error).message}`, { cause });
  }
}
