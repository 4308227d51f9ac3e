// SPDX-License-Identifier: Apache-2.0
/**
 * Journal: figures that took long to measure, a line each as soon as they are known. A run that is started again does not
 * measure them again.
 */
import { appendFile, readFile } from "node:fs/promises";
import { z } from "zod";
import { toWriteError } from "../files/atomic-directory.js";

export type Figures = Record<string, number>;

const line = z.object({ key: z.string(), figures: z.record(z.string(), z.number()) });

export class Journal {
  readonly #path: string;
  readonly #known: Map<string, Figures>;

  private constructor(path: string, known: Map<string, Figures>) {
    this.#path = path;
    this.#known = known;
  }

  /** What is in the file stays; lines that were cut off while they were written are passed over. */
  static async open(path: string): Promise<Journal> {
    const known = new Map<string, Figures>();
    for (const text of (await readFile(path, "utf8").catch(() => "")).split("\n")) {
      const parsed = line.safeParse(parse(text));
      if (parsed.success) known.set(parsed.data.key, parsed.data.figures);
    }
    return new Journal(path, known);
  }

  /** The figures known under the key, or measured now. The key tells all that they depend on. */
  async once(key: string, measure: () => Promise<Figures>): Promise<Figures> {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const figures = await measure();
    try {
      // The line break comes first: what a kill left of the line before stays alone.
      await appendFile(this.#path, `\n${JSON.stringify({ key, figures })}`);
    } catch (error) {
      throw toWriteError(error, this.#path);
    }
    this.#known.set(key, figures);
    return figures;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
