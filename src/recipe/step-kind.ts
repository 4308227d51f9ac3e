// SPDX-License-Identifier: Apache-2.0
/**
 * What a step of a recipe is: a verb, its options, and how it is run. A new one is a file in steps/ and a row in step-kinds.ts.
 */
import type { z } from "zod";
import type { BenchProgress } from "../bench/index.js";
import type { ExportProgress } from "../checkpoint/index.js";
import type { TokenizeProgress } from "../data/index.js";
import type { DistillProgress } from "../distill/index.js";
import type { BuildProgress } from "../engine/index.js";
import type { PerplexityProgress, TaskProgress } from "../evaluate/index.js";
import type { ImportanceProgress } from "../importance/index.js";
import type { PullProgress } from "../pull/index.js";
import type { QuantizeProgress } from "../quantize/index.js";
import type { SearchProgress } from "../search/index.js";
import type { SynthesizeProgress } from "../synthesize/index.js";
import type { TrainProgress } from "../train/index.js";

/** What a verb tells while it runs, as its own command hears it. */
export type StepEvent =
  | { verb: "pull"; event: PullProgress }
  | { verb: "tokenize"; event: TokenizeProgress }
  | { verb: "train"; event: TrainProgress }
  | { verb: "distill"; event: DistillProgress }
  | { verb: "synthesize"; event: SynthesizeProgress }
  | { verb: "importance"; event: ImportanceProgress }
  | { verb: "prune"; event: ExportProgress }
  | { verb: "search"; event: SearchProgress }
  | { verb: "quantize"; event: QuantizeProgress }
  | { verb: "build"; event: BuildProgress }
  | { verb: "perplexity"; event: PerplexityProgress }
  | { verb: "tasks"; event: TaskProgress }
  | { verb: "bench"; event: BenchProgress };

export interface StepContext {
  /** What the step makes goes here. */
  directory: string;
  signal: AbortSignal | undefined;
  onProgress: (event: StepEvent) => void;
}

export interface StepResult {
  /** What stands for the step where a later one names it: a model, an engine, token data, scores. */
  product: string;
  /** Figures, as JSON. */
  outcome: object;
}

/** What steps make and read. */
export type Product = "model" | "engine" | "data" | "scores" | "text" | "figures";

export interface StepKind<Options = unknown> {
  verb: string;
  /** Names that a recipe may give; `out` is the runner's. */
  options: readonly string[];
  /** Those that name files or directories to read, and what these may be; "search.data" is one inside another. */
  paths: Readonly<Record<string, readonly Product[]>>;
  /** What the step makes. */
  makes: Product;
  /** Those that are options of a verb of their own, by its names: { search: "distill" }. */
  nested: Readonly<Record<string, string>>;
  /** Values of these that are no paths, as importance's "random". */
  words: readonly string[];
  /** Goes on in its directory when it was stopped; others make it whole, or go on beside it. */
  resumesInPlace: boolean;
  /** Where the product will be. */
  product: (directory: string) => string;
  /** Options as the verb takes them; ERR_ARGUMENT where they cannot be. Paths need not be there yet. */
  parse: (options: Record<string, unknown>, directory: string) => Options;
  run: (options: Options, context: StepContext) => Promise<StepResult>;
}

type Given<Options> = Pick<StepKind<Options>, "verb" | "options" | "paths" | "makes" | "parse" | "run"> &
  Partial<StepKind<Options>>;

/** A row; its options are its own affair from here on. */
export function stepKind<Options>(given: Given<Options>): StepKind {
  const row: StepKind<Options> = {
    words: [],
    nested: {},
    resumesInPlace: false,
    product: (directory) => directory,
    ...given,
  };
  return row as unknown as StepKind;
}

/** Names of a schema's fields without the runner's `out`. */
export function fieldsOf(schema: z.ZodObject): string[] {
  return Object.keys(schema.shape).filter((name) => name !== "out");
}
