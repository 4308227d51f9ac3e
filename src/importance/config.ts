// SPDX-License-Identifier: Apache-2.0
/**
 * Options of an importance run.
 */
import { z } from "zod";
import type { IsaName } from "../binding.js";
import type { TaskFile } from "../evaluate/index.js";
import { EspalierError } from "../errors.js";
import { parseFields } from "../model/parse-fields.js";

const whole = (least: number) => z.number().int().min(least);

const schema = z.strictObject({
  model: z.string().min(1),
  data: z.union([z.string().min(1), z.array(z.strictObject({ prefix: z.string(), weight: z.number() }))]),
  out: z.string().min(1),
  samples: whole(1).default(1024),
  seqLength: whole(2).optional(),
  split: z.string().default("99,1,0"),
  seed: whole(0).default(1234),
  layerBlocks: z.array(whole(1)).optional(),
  lossSamples: whole(0).default(32),
  tasks: z
    .array(z.strictObject({ task: z.string(), file: z.string().min(1), shotsFile: z.string().min(1).optional() }))
    .default([]),
  tasksLimit: whole(1).optional(),
  fewShot: whole(0).optional(),
  batchSize: whole(1).optional(),
  plot: z.boolean().default(false),
  threads: whole(1).optional(),
  isa: z.enum(["auto", "ref", "avx2", "avx512", "avx512_bf16"]).default("auto"),
});

/** Names of the options. */
export const importanceOptionNames = Object.keys(schema.shape);

export interface ImportanceOptions {
  /** Model directory or GGUF file. */
  model: string;
  /** As `train` takes it: a prefix of .bin/.idx, a directory of `tokenize`, or a blend. */
  data: string | { prefix: string; weight: number }[];
  /** Directory to make; must not exist. */
  out: string;
  /** Sequences measured on. Default: 1024, as NeMo and Model Optimizer. */
  samples?: number;
  /** Tokens of a sequence. Default: 512, or the model's positions where these are fewer. */
  seqLength?: number;
  /** Parts of the documents; the first part is used. Default: "99,1,0". */
  split?: string;
  /** Of the order of the samples. Default: 1234. */
  seed?: number;
  /**
   * For each n the loss is measured without every block of n consecutive layers. Default: [1]; with `plot` those of
   * [1, 2, 8, half of the layers] that the model has.
   */
  layerBlocks?: number[];
  /** Sequences of that measurement, the first of the samples; 0: none. Default: 32. */
  lossSamples?: number;
  /** Tasks whose scores are measured without every such block as well, and with all layers. Default: none. */
  tasks?: TaskFile[];
  /** Only the first so many documents of each task. */
  tasksLimit?: number;
  /** Examples before each question. Default: the task's own number. */
  fewShot?: number;
  /** Sequences worked on at once. Default: about 4,096 tokens of them. */
  batchSize?: number;
  /** Write report.html beside the scores: heat maps, and curves of what is lost without blocks of layers. */
  plot?: boolean;
  /** Default: the physical cores, or ESPALIER_THREADS. */
  threads?: number;
  isa?: IsaName | "auto";
}

export type ResolvedImportanceOptions = z.output<typeof schema>;

/** Sizes of the blocks of layers that are left out, rising. ERR_ARGUMENT. */
export function blockSizes({ layerBlocks, plot }: ResolvedImportanceOptions, layers: number): number[] {
  const usual = plot ? [1, 2, 8, Math.floor(layers / 2)] : [1];
  const asked = layerBlocks ?? usual.filter((size) => size >= 1 && size < layers);
  const found = asked.find((size) => size >= layers);
  if (found === undefined) return [...new Set(asked)].sort((a, b) => a - b);
  throw new EspalierError(
    "ERR_ARGUMENT",
    `importance: layerBlocks: expected blocks of fewer than the ${layers} layers, found ${found}`,
  );
}

/** ERR_ARGUMENT names the option, what was expected and what came. */
export function resolveImportanceOptions(given: unknown): ResolvedImportanceOptions {
  const options = parseFields(schema, given, { code: "ERR_ARGUMENT", where: "importance" });
  for (const name of ["tasksLimit", "fewShot"] as const)
    if (options.tasks.length === 0 && options[name] !== undefined)
      throw new EspalierError("ERR_ARGUMENT", `importance: ${name}: expected tasks beside it, found none`);
  return options;
}
