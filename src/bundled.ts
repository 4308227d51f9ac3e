// SPDX-License-Identifier: Apache-2.0
/** The model that comes with the package, trained by its own commands, and public-domain text that it never saw. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { EspalierError } from "./errors.js";

const directory = new URL("../models/teacher/", import.meta.url);

/** A model directory: a Llama of 4 million parameters. */
export const bundledTeacher = fileURLToPath(directory).replace(/\/$/, "");

/** The documents that were held out of its training: ends of Moby-Dick and State of the Union addresses. */
export const bundledText = fileURLToPath(new URL("held-out.txt", directory));

/** What they say, and their name for reports. */
export async function heldOutText(): Promise<{ name: string; text: string }> {
  try {
    return { name: "Moby-Dick's end and State of the Union 2013-2021", text: await readFile(bundledText, "utf8") };
  } catch (cause) {
    throw new EspalierError("ERR_FILE_READ", `${bundledText}: ${(cause as Error).message}`, { cause });
  }
}
