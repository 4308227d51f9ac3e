/**
 * ReportData from a file: everything the page reads is checked, so that a wrong file is told from a defect.
 */
import { z } from "zod";
import { EspalierError } from "../errors.js";
import type { ReportData } from "./types.js";

/** `ReportMachine` */
export const machineSchema = z.object({
  cpu: z.string(),
  physicalCores: z.number(),
  logicalCpus: z.number(),
  memoryBytes: z.number(),
  os: z.string(),
  node: z.string(),
});

const measured = z.number().nullable();
const spread = z.looseObject({ median: z.number(), min: z.number(), max: z.number() }).nullable();

const cellSchema = z.looseObject({
  engine: z.string(),
  isl: z.number(),
  osl: z.number(),
  batch: z.number(),
  ttftMs: z.number(),
  tpotMs: measured,
  itlP50Ms: measured,
  itlP90Ms: measured,
  itlP99Ms: measured,
  prefillTokensPerSecond: z.number(),
  decodeTokensPerSecond: measured,
  requestsPerSecond: z.number(),
  decodeGBps: measured,
  prefillGflops: z.number(),
  ceilingGBps: z.number(),
  ceilingGflops: z.number(),
  peakRssMB: z.number(),
  loadMs: z.number(),
  cpu: z.string(),
  isa: z.string(),
  threads: z.number(),
  weights: z.string(),
  kvDtype: z.string(),
  repeats: z.number(),
  spread: z.record(z.string(), spread),
  foreignCpuShare: measured,
  disturbed: z.boolean().nullable(),
  comparison: z.object({ baseline: z.string(), ratios: z.record(z.string(), spread) }).optional(),
});

export const reportSchema = z.looseObject({
  title: z.string(),
  createdAt: z.string(),
  espalierVersion: z.string(),
  machine: machineSchema,
  engines: z
    .array(
      z.looseObject({
        directory: z.string(),
        label: z.string(),
        sizeBytes: z.number(),
        source: z.object({ name: z.string(), format: z.string(), parameters: z.number() }),
        formats: z.record(z.string(), z.number()),
        facts: z.record(z.string(), z.union([z.string(), z.number()])),
      }),
    )
    .min(1),
  cells: z.array(cellSchema),
  perplexity: z.array(
    z.looseObject({
      engine: z.string(),
      corpus: z.string(),
      perplexity: z.number(),
      nll: z.number(),
      tokens: z.number(),
    }),
  ),
  samples: z.array(
    z.object({ prompt: z.string(), answers: z.array(z.object({ engine: z.string(), text: z.string() })) }),
  ),
  commands: z.array(z.string()),
});

/** ERR_REPORT_DATA names the file and the field. */
export function parseReportData(value: unknown, path: string): ReportData {
  const parsed = reportSchema.safeParse(value);
  if (parsed.success) return value as ReportData;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") || "the document";
  throw new EspalierError("ERR_REPORT_DATA", `${path}: ${field}: ${issue?.message ?? "invalid"}`);
}
