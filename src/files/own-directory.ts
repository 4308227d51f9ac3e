// SPDX-License-Identifier: Apache-2.0
/**
 * writeDirectoryResumably by one process at a time: two would write the same journal.
 */
import { basename, dirname, join, resolve } from "node:path";
import { makeDirectory, toWriteError, writeDirectoryResumably } from "./atomic-directory.js";
import { withOwnLock } from "./lock.js";

/** `busy`: what a second process is told with ERR_RUN_BUSY. */
export async function writeDirectoryAlone(
  out: string,
  { signal, busy }: { signal: AbortSignal | undefined; busy: string },
  fill: (staging: string) => Promise<void>,
): Promise<void> {
  const place = resolve(out);
  await makeDirectory(dirname(place)).catch((error: unknown) => {
    throw toWriteError(error, out);
  });
  const lock = join(dirname(place), `.${basename(place)}.espalier-lock`);
  await withOwnLock(lock, { signal, busy }, () => writeDirectoryResumably(out, fill, { signal }));
}
