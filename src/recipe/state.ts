// SPDX-License-Identifier: Apache-2.0
/**
 * What a run directory remembers of its steps: RUN/steps/NAME.json. What a step made for a recipe that has changed since is
 * put aside in RUN/replaced, and taken back when the recipe is what it was.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { z } from "zod";
import { replaceFile } from "../files/replace-file.js";

const schema = z.object({
  version: z.literal(1),
  verb: z.string(),
  key: z.string(),
  status: z.enum(["started", "done"]),
  options: z.record(z.string(), z.unknown()),
  uses: z.array(z.string()),
  /** null until it is done. */
  product: z.string().nullable(),
  outcome: z.record(z.string(), z.unknown()).nullable(),
  seconds: z.number(),
});

export type StepState = z.infer<typeof schema>;

export class StepStates {
  readonly #out: string;

  constructor(out: string) {
    this.#out = out;
  }

  /** null: none, or none that can be read. Products inside the run are kept relative, so that it can be moved. */
  async read(name: string): Promise<StepState | null> {
    const state = await readState(this.#path(name));
    return state === null || state.product === null ? state : { ...state, product: resolve(this.#out, state.product) };
  }

  async write(name: string, state: StepState): Promise<void> {
    const path = this.#path(name);
    await mkdir(dirname(path), { recursive: true });
    const inside = state.product === null ? "" : relative(this.#out, state.product);
    const product = inside === "" || inside.startsWith("..") ? state.product : inside;
    await replaceFile(path, `${JSON.stringify({ ...state, product }, null, 1)}\n`);
  }

  /** Puts what the step made for another key aside, and takes back what it made for this one. */
  async switchTo(name: string, key: string): Promise<StepState | null> {
    const found = await this.read(name);
    await this.#removeLeft(name, found?.key === key);
    if (found?.key === key) return found;
    if (found !== null) await this.#move(name, this.#out, this.#aside(name, found.key));
    const aside = this.#aside(name, key);
    if (!existsSync(aside)) return null;
    await this.#move(name, aside, this.#out);
    await rm(aside, { recursive: true, force: true });
    return this.read(name);
  }

  #path(name: string, root = this.#out): string {
    return join(root, "steps", `${name}.json`);
  }

  #aside(name: string, key: string): string {
    return join(this.#out, "replaced", `${name}-${key.slice(0, 12)}`);
  }

  /** The state last: whatever stops this, the next run sees the same state and moves the rest. */
  async #move(name: string, from: string, to: string): Promise<void> {
    await mkdir(join(to, "steps"), { recursive: true });
    const target = join(to, name);
    if (existsSync(join(from, name))) {
      await rm(target, { recursive: true, force: true });
      await rename(join(from, name), target);
    }
    await rename(this.#path(name, from), this.#path(name, to));
  }

  /** Beside its place, a verb that was killed leaves what is of no use, or what it goes on from with the same options. */
  async #removeLeft(name: string, sameOptions: boolean): Promise<void> {
    const prefix = `.${name}.espalier-`;
    const isUseless = (entry: string): boolean =>
      entry.startsWith(prefix)
        ? !(sameOptions && entry.endsWith("-unfinished"))
        : !sameOptions && entry.startsWith(`${name}.`); // a search's candidates
    const entries = existsSync(this.#out) ? await readdir(this.#out) : [];
    for (const entry of entries)
      if (isUseless(entry)) await rm(join(this.#out, entry), { recursive: true, force: true });
  }
}

async function readState(path: string): Promise<StepState | null> {
  try {
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return null;
  }
}
