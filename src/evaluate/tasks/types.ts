/**
 * What a task is: a row that turns a line of its file into a document. Everything else is shared.
 */
import type { Fields } from "./fields.js";

/** A question and its answers; the model is asked how likely each answer is. */
export interface ChoiceDocument {
  /** Text before each answer. One for each answer where the answers are parts of the text (partial evaluation). */
  contexts: string[];
  /** Texts whose log-likelihood counts; as many as contexts. */
  continuations: string[];
  /** By whose lengths acc_norm divides. */
  choices: string[];
  gold: number;
  /** Before the examples: the instruction of a subject. */
  description?: string;
}

/** A prompt and what should come of it. */
export interface GenerateDocument {
  context: string;
  target: string;
}

export interface Metric {
  value: number;
  /** Standard error of the mean: sample standard deviation / sqrt(documents). null for one document. */
  stderr: number | null;
}

/** What all tasks have. */
export interface AnyTask {
  name: string;
  /** Columns of its file, for the documentation. */
  fields: string;
  /** Examples in front of the question unless asked for otherwise. */
  shots: number;
  /** How examples are picked. */
  sampler: "random" | "first";
  /** The harness draws one example more than it needs where a task has no test split. */
  spareShot: boolean;
}

export interface ChoiceTask extends AnyTask {
  kind: "choice";
  /** The first is the one that recovery counts. */
  metrics: readonly ("acc" | "acc_norm")[];
  read(fields: Fields): ChoiceDocument;
}

export interface GenerateTask extends AnyTask {
  kind: "generate";
  /** The first is the one that recovery counts. */
  metrics: readonly string[];
  /** Strings that end the answer. */
  until: readonly string[];
  maxTokens: number;
  read(fields: Fields): GenerateDocument;
  /** One value for each metric. */
  score(answer: string, document: GenerateDocument): Record<string, number>;
}

export type Task = ChoiceTask | GenerateTask;

/** What was measured of one document. */
export type Sample =
  | { kind: "choice"; logLikelihoods: number[]; gold: number; values: Record<string, number> }
  | { kind: "generate"; answer: string; target: string; values: Record<string, number> };

export interface TaskReport {
  file: string;
  documents: number;
  shots: number;
  /** Prompts whose beginning was cut off because the model's context is shorter. */
  truncated: number;
  metrics: Record<string, Metric>;
}
