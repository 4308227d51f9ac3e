// SPDX-License-Identifier: Apache-2.0
/**
 * Writes records of a teacher's logits into shards. A journal says how many samples the disk holds for sure; what was
 * written after it is cut off when the work goes on.
 */
import { createHash } from "node:crypto";
import { open, readdir, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ResolvedTrainOptions } from "../train/config.js";
import type { TopLogits, TrainBatch } from "../train/native-trainer.js";
import { encodeRecord, recordBytes, shardName, type TeacherLogitsPlan } from "../train/teacher-logits/index.js";

const JOURNAL = "journal.json";
const SAVE_MS = 5000;

const schema = z.strictObject({
  signature: z.string(),
  samples: z.number().int().min(0),
  /** Tokens whose label counts, the sum of what the kept logits have of their probability, and the least. */
  tokens: z.number().min(0),
  mass: z.number(),
  least: z.number(),
});
type Journal = z.output<typeof schema>;

/** Of all that decides the bytes. */
export function signatureOf(plan: TeacherLogitsPlan, { microBatch }: ResolvedTrainOptions): string {
  return createHash("sha256")
    .update(JSON.stringify([plan, microBatch]))
    .digest("hex");
}

export class CacheWriter {
  readonly #directory: string;
  readonly #plan: TeacherLogitsPlan;
  #journal: Journal;
  #shard: FileHandle | null = null;
  readonly #saveMs: number;
  #savedAt = performance.now();

  private constructor(directory: string, plan: TeacherLogitsPlan, journal: Journal, saveMs: number) {
    this.#saveMs = saveMs;
    this.#directory = directory;
    this.#plan = plan;
    this.#journal = journal;
  }

  /** Goes on from what a stopped pass of the same signature left; anything else in the directory is removed. */
  static async open(
    directory: string,
    plan: TeacherLogitsPlan,
    signature: string,
    saveMs = SAVE_MS,
  ): Promise<CacheWriter> {
    const found = schema.safeParse(await readJson(join(directory, JOURNAL)));
    const fresh: Journal = { signature, samples: 0, tokens: 0, mass: 0, least: 1 };
    const journal = found.success && found.data.signature === signature ? found.data : fresh;
    const writer = new CacheWriter(directory, plan, journal, saveMs);
    try {
      await writer.#cutBack();
    } catch (error) {
      await writer.close();
      throw error;
    }
    return writer;
  }

  /** Samples written so far. */
  get samples(): number {
    return this.#journal.samples;
  }

  /** Part of the teacher's probability that the kept logits have. */
  coverage(): { mean: number; least: number } {
    const { tokens, mass, least } = this.#journal;
    return { mean: tokens === 0 ? 1 : mass / tokens, least };
  }

  /** The next samples, in order. */
  async append(batch: TrainBatch, top: TopLogits): Promise<void> {
    for (let row = 0; row < batch.sequences; ++row) {
      const place = this.samples % this.#plan.samplesPerShard;
      if (place === 0) await this.#nextShard();
      await writeAll(this.#shard!, encodeRecord(this.#plan, batch, row, top));
      this.#count(batch, top, row);
    }
    if (performance.now() - this.#savedAt > this.#saveMs) await this.save();
  }

  /** What is written stays, whatever happens next. */
  async save(): Promise<void> {
    if (this.#shard === null) return;
    await this.#shard.datasync();
    const path = join(this.#directory, JOURNAL);
    const file = await open(`${path}.new`, "w");
    try {
      await file.writeFile(JSON.stringify(this.#journal));
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
    this.#savedAt = performance.now();
  }

  /** Leaves the shards alone. */
  async finish(): Promise<void> {
    await this.#shard?.sync();
    await rm(join(this.#directory, JOURNAL), { force: true });
  }

  async close(): Promise<void> {
    await this.#shard?.close();
    this.#shard = null;
  }

  #count(batch: TrainBatch, { values, logSumExp }: TopLogits, row: number): void {
    const { topK, sequenceLength: length } = this.#plan;
    const journal = this.#journal;
    for (let at = row * length; at < (row + 1) * length; ++at) {
      if (batch.labels[at]! < 0) continue;
      let mass = 0;
      for (let i = 0; i < topK; ++i) mass += Math.exp(values[at * topK + i]! - logSumExp[at]!);
      mass = Math.min(1, mass);
      journal.tokens += 1;
      journal.mass += mass;
      journal.least = Math.min(journal.least, mass);
    }
    journal.samples += 1;
  }

  async #nextShard(): Promise<void> {
    await this.save(); // an earlier shard is whole on the disk before the next begins
    await this.close();
    const index = this.samples / this.#plan.samplesPerShard;
    this.#shard = await open(join(this.#directory, shardName(index)), "w");
  }

  /** Makes the shards what the journal says; begins anew when they hold less. */
  async #cutBack(): Promise<void> {
    const { samplesPerShard } = this.#plan;
    const place = this.samples % samplesPerShard;
    const whole = Math.floor(this.samples / samplesPerShard);
    const kept = new Set(Array.from({ length: whole + (place > 0 ? 1 : 0) }, (_, index) => shardName(index)));
    for (const name of await readdir(this.#directory))
      if (!kept.has(name) && name !== JOURNAL) await rm(join(this.#directory, name), { recursive: true });
    const bytes = recordBytes(this.#plan);
    for (const [index, name] of [...kept].entries()) {
      const shard = await open(join(this.#directory, name), "r+").catch(() => null);
      const expected = (index < whole ? samplesPerShard : place) * bytes;
      const found = (await shard?.stat())?.size ?? -1;
      if (shard === null || found < expected) {
        await shard?.close();
        return this.#beginAnew();
      }
      await shard.truncate(expected);
      await shard.close();
    }
    if (place === 0) return;
    this.#shard = await open(join(this.#directory, shardName(whole)), "a");
  }

  async #beginAnew(): Promise<void> {
    this.#journal = { ...this.#journal, samples: 0, tokens: 0, mass: 0, least: 1 };
    for (const name of await readdir(this.#directory)) await rm(join(this.#directory, name), { recursive: true });
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return null;
  }
}
