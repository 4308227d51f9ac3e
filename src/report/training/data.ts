// SPDX-License-Identifier: Apache-2.0
/**
 * What the page of one or several training runs is made of: plain JSON, written beside the page.
 */
import { z } from "zod";
import { EspalierError } from "../../errors.js";
import { machineSchema } from "../parse.js";

const point = z.object({
  step: z.number(),
  samples: z.number(),
  loss: z.number().nullable(),
  learningRate: z.number(),
  gradNorm: z.number().nullable(),
  tokensPerSecond: z.number(),
});

const validation = z.object({
  step: z.number(),
  samples: z.number(),
  loss: z.number(),
  /** Of the data alone, where the loss has a teacher's terms; null: not told. Perplexity comes from it. */
  crossEntropy: z.number().nullable(),
});

export const trainingRunSchema = z.object({
  directory: z.string(),
  /** Short name, used everywhere. */
  label: z.string(),
  /** Averages of a few steps each where there are many. */
  points: z.array(point),
  validation: z.array(validation),
  /** Steps whose update was left out. */
  skipped: z.number(),
  tokens: z.number(),
  /** Options of the run: "Peak learning rate" -> 0.001. */
  facts: z.record(z.string(), z.union([z.string(), z.number()])),
});

const schema = z.object({
  kind: z.literal("train"),
  title: z.string(),
  /** ISO 8601. */
  createdAt: z.string(),
  espalierVersion: z.string(),
  machine: machineSchema,
  runs: z.array(trainingRunSchema).min(1),
});

export type TrainingPoint = z.infer<typeof point>;
export type TrainingRun = z.infer<typeof trainingRunSchema>;
export type TrainingReportData = z.infer<typeof schema>;

/** ERR_REPORT_DATA names the file and the field. */
export function parseTrainingReport(value: unknown, path: string): TrainingReportData {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") || "the document";
  throw new EspalierError("ERR_REPORT_DATA", `${path}: ${field}: ${issue?.message ?? "invalid"}`);
}

/** Whether a report.json is of training runs. */
export function isTrainingReport(value: unknown): boolean {
  return typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === "train";
}
