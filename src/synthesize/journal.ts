// SPDX-License-Identifier: Apache-2.0
/**
 * What became of each attempt so far, a line each, beside the file that is made: a stopped call goes on from there.
 */
import { lstat, open, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { EspalierError } from "../errors.js";
import { toWriteError } from "../files/atomic-directory.js";
import { dropReasons, type DropReason } from "./filter.js";

const entrySchema = z.union([
  z.strictObject({ line: z.record(z.string(), z.unknown()), tokens: z.number().int().min(0) }),
  z.strictObject({ dropped: z.enum(dropReasons), tokens: z.number().int().min(0) }),
]);

/** In the order of the attempts. `tokens`: generated ones. */
export type Entry = { line: object; tokens: number } | { dropped: DropReason; tokens: number };

export function journalPath(out: string): string {
  const place = resolve(out);
  return join(dirname(place), `.${basename(place)}.espalier-unfinished`);
}

/** ERR_OUTPUT_EXISTS. */
export async function refuseExisting(out: string): Promise<void> {
  const there = await lstat(out).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw toWriteError(error, out);
    },
  );
  if (there) throw new EspalierError("ERR_OUTPUT_EXISTS", `${out} exists already`);
}

export class Journal {
  readonly #out: string;
  readonly #path: string;
  readonly #file: FileHandle;
  /** Attempts that were there. */
  readonly entries: readonly Entry[];

  private constructor(out: string, path: string, file: FileHandle, entries: readonly Entry[]) {
    this.#out = out;
    this.#path = path;
    this.#file = file;
    this.entries = entries;
  }

  /** Goes on with the journal of the same signature, or begins a new one. */
  static async open(out: string, signature: string): Promise<Journal> {
    const path = journalPath(out);
    const { entries, bytes } = await readEntries(path, signature);
    try {
      const file = await open(path, bytes === 0 ? "w" : "r+");
      if (bytes === 0) await file.write(`${JSON.stringify({ signature })}\n`);
      else await file.truncate(bytes); // a line that was not written to its end
      await file.close();
      return new Journal(out, path, await open(path, "a"), entries);
    } catch (error) {
      throw toWriteError(error, out);
    }
  }

  async append(entry: Entry): Promise<void> {
    try {
      await this.#file.appendFile(`${JSON.stringify(entry)}\n`);
    } catch (error) {
      throw toWriteError(error, this.#out);
    }
  }

  /** Writes the lines to the output, which appears whole, and removes the journal. */
  async finish(lines: readonly object[]): Promise<void> {
    const beside = `${this.#path}.new`;
    try {
      const file = await open(beside, "w");
      try {
        for (let at = 0; at < lines.length; at += 1024)
          await file.appendFile(
            lines
              .slice(at, at + 1024)
              .map((line) => `${JSON.stringify(line)}\n`)
              .join(""),
          );
        await file.sync();
      } finally {
        await file.close();
      }
      await refuseExisting(this.#out);
      await rename(beside, this.#out);
    } catch (error) {
      await rm(beside, { force: true });
      throw toWriteError(error, this.#out);
    }
    await rm(this.#path, { force: true });
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Entries of the whole lines, and the bytes these take; none where the journal is another call's. */
async function readEntries(path: string, signature: string): Promise<{ entries: Entry[]; bytes: number }> {
  const none = { entries: [], bytes: 0 };
  const text = await readFile(path, "utf8").catch(() => "");
  const lines = text.split("\n").slice(0, -1);
  if (lines[0] !== JSON.stringify({ signature })) return none;
  const entries: Entry[] = [];
  for (const line of lines.slice(1)) {
    const parsed = entrySchema.safeParse(parse(line));
    if (!parsed.success) break;
    entries.push(parsed.data);
  }
  const kept = lines.slice(0, entries.length + 1).map((line) => `${line}\n`);
  return { entries, bytes: Buffer.byteLength(kept.join("")) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
