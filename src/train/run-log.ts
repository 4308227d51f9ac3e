// SPDX-License-Identifier: Apache-2.0
/**
 * What a run writes while it goes: metrics.jsonl (a line a step) and a TensorBoard event file, both cut back to where a
 * checkpoint left them when the run is resumed.
 */
import { open, readdir, rm, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { toWriteError } from "../files/atomic-directory.js";
import { EventFile, type Scalar } from "./event-file.js";

/** A line of metrics.jsonl: figures of one step, averages over its counted tokens. */
export interface StepMetrics {
  step: number;
  /** Consumed so far. */
  samples: number;
  tokens: number;
  /** null: NaN or infinite. */
  loss: number | null;
  /** Cross-entropy alone, where there are other terms. */
  lm_loss?: number | null;
  /**
   * With a teacher: everything, as Megatron's balancer calls it; its logit term and its hidden-state term (summed over
   * the pairs of layers), both before their weights.
   */
  kd_loss?: number | null;
  logits_loss?: number | null;
  intermediate_loss?: number | null;
  val_loss?: number | null;
  /** Of the validation, as above. */
  val_lm_loss?: number | null;
  val_kd_loss?: number | null;
  val_logits_loss?: number | null;
  val_intermediate_loss?: number | null;
  learning_rate: number;
  /** Before clipping; null: NaN or infinite. */
  grad_norm: number | null;
  tokens_per_second: number;
  /** The update was left out: a gradient was not finite. */
  skipped?: true;
}

/** Sizes of the files, kept in a checkpoint. */
export interface LogPosition {
  metricsBytes: number;
  eventsFile: string;
  eventsBytes: number;
}

export const METRICS = "metrics.jsonl";

/** TensorBoard's tags, as Megatron and NeMo name them. */
const TAGS: readonly [keyof StepMetrics, string][] = [
  ["loss", "loss"],
  ["lm_loss", "lm_loss"],
  ["kd_loss", "kd_loss"],
  ["logits_loss", "logits_loss"],
  ["intermediate_loss", "intermediate_loss"],
  ["val_loss", "val_loss"],
  ["val_lm_loss", "val_lm_loss"],
  ["val_kd_loss", "val_kd_loss"],
  ["val_logits_loss", "val_logits_loss"],
  ["val_intermediate_loss", "val_intermediate_loss"],
  ["learning_rate", "learning-rate"],
  ["grad_norm", "grad-norm"],
  ["tokens_per_second", "tokens/s"],
];

export class RunLog {
  readonly #directory: string;
  readonly #metrics: FileHandle;
  readonly #events: EventFile;
  readonly #eventsFile: string;
  #metricsBytes: number;

  private constructor(directory: string, metrics: FileHandle, events: EventFile, position: LogPosition) {
    this.#directory = directory;
    this.#metrics = metrics;
    this.#events = events;
    this.#eventsFile = position.eventsFile;
    this.#metricsBytes = position.metricsBytes;
  }

  /** `position` of the checkpoint that the run goes on from; null: anew. */
  static async open(directory: string, position: LogPosition | null): Promise<RunLog> {
    const kept = position === null ? null : await found(directory, position);
    for (const name of await readdir(directory))
      if (name.startsWith("events.out.tfevents.") && name !== kept?.eventsFile) await rm(join(directory, name));
    const eventsFile = kept?.eventsFile ?? `events.out.tfevents.${Math.floor(Date.now() / 1000)}.espalier`;
    const metrics = await open(join(directory, METRICS), kept === null || kept.metricsBytes === 0 ? "w" : "r+");
    try {
      await metrics.truncate(kept?.metricsBytes ?? 0);
      const events = await EventFile.open(join(directory, eventsFile), kept?.eventsBytes ?? 0);
      const at = { metricsBytes: kept?.metricsBytes ?? 0, eventsFile, eventsBytes: events.sizeBytes };
      return new RunLog(directory, metrics, events, at);
    } catch (error) {
      await metrics.close();
      throw error;
    }
  }

  async write(metrics: StepMetrics): Promise<void> {
    try {
      await this.#append(Buffer.from(`${JSON.stringify(metrics)}\n`));
      const scalars = scalarsOf(metrics);
      const now = Date.now() / 1000;
      await this.#events.write(metrics.step, scalars, now);
      const bySamples = scalars.map(({ tag, value }) => ({ tag: `${tag} vs samples`, value }));
      await this.#events.write(metrics.samples, bySamples, now);
    } catch (error) {
      throw toWriteError(error, this.#directory);
    }
  }

  /** On disk, so that a checkpoint may name the sizes. */
  async sync(): Promise<LogPosition> {
    try {
      await this.#metrics.sync();
      await this.#events.sync();
    } catch (error) {
      throw toWriteError(error, this.#directory);
    }
    return {
      metricsBytes: this.#metricsBytes,
      eventsFile: this.#eventsFile,
      eventsBytes: this.#events.sizeBytes,
    };
  }

  async close(): Promise<void> {
    await this.#metrics.close();
    await this.#events.close();
  }

  async #append(line: Buffer): Promise<void> {
    for (let done = 0; done < line.length;) {
      const { bytesWritten } = await this.#metrics.write(line, done, line.length - done, this.#metricsBytes);
      done += bytesWritten;
      this.#metricsBytes += bytesWritten;
    }
  }
}

/** The position as far as the files are there: somebody may have removed one of them. */
async function found(directory: string, position: LogPosition): Promise<LogPosition> {
  const sizeOf = async (name: string): Promise<number> => {
    const info = await stat(join(directory, name)).catch(() => null);
    return info?.size ?? 0;
  };
  const eventsThere = (await sizeOf(position.eventsFile)) >= position.eventsBytes;
  const metricsThere = (await sizeOf(METRICS)) >= position.metricsBytes;
  return {
    metricsBytes: metricsThere ? position.metricsBytes : 0,
    eventsFile: position.eventsFile,
    eventsBytes: eventsThere ? position.eventsBytes : 0,
  };
}

function scalarsOf(metrics: StepMetrics): Scalar[] {
  return TAGS.flatMap(([key, tag]) => {
    const value = metrics[key];
    return typeof value === "number" ? [{ tag, value }] : [];
  });
}
