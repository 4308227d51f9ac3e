// SPDX-License-Identifier: Apache-2.0
/**
 * What the page of a recipe's run is made of: plain JSON, written beside the page.
 */
import { z } from "zod";
import { EspalierError } from "../../errors.js";
import { reportSchema } from "../parse.js";
import { trainingRunSchema } from "../training/data.js";
import type { ReportData } from "../types.js";

const model = z.object({
  /** The step that made it, or the file's name. */
  label: z.string(),
  weights: z.string(),
  parameters: z.number(),
  sizeBytes: z.number(),
  /** In `measured.cells`; null: it was not benched. */
  engine: z.string().nullable(),
  perplexity: z.number().nullable(),
  /** What the perplexity is of. */
  corpus: z.string().nullable(),
  bitsPerByte: z.number().nullable(),
  /** By task: its first metric. */
  tasks: z.record(z.string(), z.object({ metric: z.string(), value: z.number(), stderr: z.number().nullable() })),
  /** Percent of the first model's scores, mean over the tasks. */
  recovery: z.number().nullable(),
  /** By the memory that was free, at `largestTokens` a sequence. */
  largestBatch: z.number().nullable(),
  largestTokens: z.number().nullable(),
});

const step = z.object({
  name: z.string(),
  verb: z.string(),
  uses: z.array(z.string()),
  status: z.string(),
  seconds: z.number(),
  /** What came of it, in a few words. */
  summary: z.string(),
});

const schema = z.object({
  kind: z.literal("compress"),
  title: z.string(),
  models: z.array(model),
  runs: z.array(trainingRunSchema),
  /** Scores that were measured: their step, what the model is called, the directory from the run's. */
  importance: z.array(z.object({ step: z.string(), model: z.string(), directory: z.string() })),
  steps: z.array(step),
  /** Engines, cells, perplexities, samples and commands, as a bench's page has them. */
  measured: reportSchema.extend({ engines: z.array(z.looseObject({ directory: z.string() })) }),
});

export type CompressModel = z.infer<typeof model>;
export type CompressStep = z.infer<typeof step>;
export type CompressReportData = Omit<z.infer<typeof schema>, "measured"> & { measured: ReportData };

/** ERR_REPORT_DATA names the file and the field. */
export function parseCompressReport(value: unknown, path: string): CompressReportData {
  const parsed = schema.safeParse(value);
  if (parsed.success) return value as CompressReportData;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") || "the document";
  throw new EspalierError("ERR_REPORT_DATA", `${path}: ${field}: ${issue?.message ?? "invalid"}`);
}

/** Whether a report.json is of a recipe's run. */
export function isCompressReport(value: unknown): boolean {
  return typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === "compress";
}
