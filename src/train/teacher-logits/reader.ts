// SPDX-License-Identifier: Apache-2.0
/**
 * Training data with a cached teacher's largest logits beside each batch.
 */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "../../abort.js";
import { EspalierError } from "../../errors.js";
import type { TrainingData, TrainingSplit } from "../loop.js";
import type { TrainBatch } from "../native-trainer.js";
import { decodeRecord, recordBytes, tokensChecksum, type DecodedRecord } from "./layout.js";
import { readTeacherLogitsManifest, shardName, type TeacherLogitsManifest } from "./manifest.js";

/** What a run must have in common with the cache, and how much of it the run takes. */
export interface LogitsUse {
  /** Fingerprint of the student's tokenizer; null: it has none. */
  tokenizer: string | null;
  vocabSize: number;
  seqLength: number;
  split: string;
  seed: number;
  resetAttention: boolean;
  /** Training samples. */
  samples: number;
  validationSamples: number;
}

const VERIFIED_AT_ONCE = 4;

export class TeacherLogits {
  private constructor(
    readonly directory: string,
    readonly manifest: TeacherLogitsManifest,
  ) {}

  /** ERR_TEACHER_LOGITS. */
  static async open(directory: string): Promise<TeacherLogits> {
    return new TeacherLogits(directory, await readTeacherLogitsManifest(directory));
  }

  /** What a run began with: the teacher, and how much of its logits there is. */
  get fingerprint(): string {
    const { teacher, topK } = this.manifest;
    return `${teacher.fingerprint} top ${topK}`;
  }

  /** For espalier.json. */
  lineage(): { name: string; fingerprint: string; topK: number } {
    const { teacher, topK } = this.manifest;
    return { name: teacher.name, fingerprint: teacher.fingerprint, topK };
  }

  /** Reads every record. ERR_TEACHER_LOGITS names the file and the first sample that is damaged. */
  async verify(signal?: AbortSignal): Promise<void> {
    const { samples, validationSamples } = this.manifest;
    const total = samples + validationSamples;
    for (let at = 0; at < total; at += VERIFIED_AT_ONCE) {
      throwIfAborted(signal);
      await this.#read(at, Math.min(VERIFIED_AT_ONCE, total - at));
    }
  }

  /**
   * The same data; its batches bring the teacher's `top` largest logits. ERR_TEACHER_LOGITS names what differs from what
   * the cache was made of.
   */
  join(data: TrainingData, use: LogitsUse, top: number): TrainingData {
    this.#check(data, use);
    const { train, validation, fingerprint } = data;
    return {
      train: this.#splitWith(train, 0, this.manifest.samples, top),
      validation:
        validation === null
          ? null
          : this.#splitWith(validation, this.manifest.samples, this.manifest.validationSamples, top),
      fingerprint,
      close: () => data.close(),
    };
  }

  #check({ fingerprint }: TrainingData, use: LogitsUse): void {
    const { manifest } = this;
    const tokenizer = use.tokenizer ?? manifest.tokenizer;
    const rows: [what: string, made: unknown, found: unknown][] = [
      ["vocabulary", manifest.vocabSize, use.vocabSize],
      ["tokenizer", manifest.tokenizer ?? tokenizer, tokenizer],
      ["seqLength", manifest.sequenceLength, use.seqLength],
      ["split", manifest.split, use.split],
      ["seed", manifest.seed, use.seed],
      ["resetAttention", manifest.resetAttention, use.resetAttention],
      ["data", manifest.data, fingerprint],
    ];
    for (const [what, made, found] of rows) {
      if (made === found) continue;
      const why = what === "data" ? " (other files, more passes over them, or validation in one of the two only)" : "";
      this.#refuse(what, `the logits were made with ${String(made)}, found ${String(found)}${why}`);
    }
    const { samples, validationSamples } = manifest;
    if (use.samples > samples) this.#refuse("samples", `the run takes ${use.samples}, the cache has ${samples}`);
    if (use.validationSamples > validationSamples)
      this.#refuse(
        "limitValBatches",
        `validation takes ${use.validationSamples} samples, the cache has ${validationSamples}`,
      );
  }

  #refuse(what: string, message: string): never {
    throw new EspalierError("ERR_TEACHER_LOGITS", `${this.directory}: ${what}: ${message}`);
  }

  /** Sample `i` of the split is record `first + i`. */
  #splitWith(split: TrainingSplit, first: number, length: number, top: number): TrainingSplit {
    return {
      length: Math.min(split.length, length),
      batch: async (begin, count) => {
        const [batch, records] = await Promise.all([split.batch(begin, count), this.#read(first + begin, count)]);
        return this.#addLogits(batch, records, top);
      },
    };
  }

  #addLogits(batch: TrainBatch, records: readonly DecodedRecord[], top: number): TrainBatch {
    const { topK, sequenceLength: length } = this.manifest;
    const topIds = new Int32Array(records.length * length * top);
    const topValues = new Float32Array(topIds.length);
    const topLogSumExp = new Float32Array(records.length * length);
    for (const [row, { ids, values, sums, tokensChecksum: made }] of records.entries()) {
      topLogSumExp.set(sums, row * length);
      if (made !== tokensChecksum(batch, row))
        this.#refuse("data", "a sample has other tokens than when it was cached");
      for (let token = 0; token < length; ++token) {
        const [from, to] = [token * topK, (row * length + token) * top];
        topIds.set(ids.subarray(from, from + top), to);
        topValues.set(values.subarray(from, from + top), to);
      }
    }
    return { ...batch, topIds, topValues, topLogSumExp };
  }

  async #read(begin: number, count: number): Promise<DecodedRecord[]> {
    const { samplesPerShard } = this.manifest;
    const records: DecodedRecord[] = [];
    for (let at = begin; at < begin + count;) {
      const place = at % samplesPerShard;
      const taken = Math.min(samplesPerShard - place, begin + count - at);
      records.push(...(await this.#readShard(Math.floor(at / samplesPerShard), place, taken)));
      at += taken;
    }
    return records;
  }

  async #readShard(shard: number, place: number, count: number): Promise<DecodedRecord[]> {
    const path = join(this.directory, shardName(shard));
    const bytes = recordBytes(this.manifest);
    const buffer = new Uint8Array(count * bytes);
    const damaged = (what: string, cause?: unknown): EspalierError =>
      new EspalierError("ERR_TEACHER_LOGITS", `${path}: ${what}`, { cause });
    try {
      const file = await open(path);
      try {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, place * bytes);
        if (bytesRead !== buffer.length) throw damaged(`expected ${buffer.length} bytes, found ${bytesRead}`);
      } finally {
        await file.close();
      }
    } catch (error) {
      if (error instanceof EspalierError) throw error;
      throw damaged((error as Error).message, error);
    }
    return Array.from({ length: count }, (_, i) => {
      const record = decodeRecord(this.manifest, buffer.subarray(i * bytes, (i + 1) * bytes));
      if (record === null) throw damaged(`sample ${place + i}: its checksum is wrong`);
      return record;
    });
  }
}
