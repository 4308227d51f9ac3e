// SPDX-License-Identifier: Apache-2.0
/**
 * The directory that `importance` makes: importance.json, and scores.safetensors with every aggregation of every axis.
 */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { readSafetensorsHeader } from "../checkpoint/safetensors.js";
import { writeSafetensors, type PlannedTensor } from "../checkpoint/index.js";
import { EspalierError } from "../errors.js";
import { parseFields } from "../model/parse-fields.js";
import type { ContiguousBlocks, ImportanceScores } from "../prune/scores.js";
import { aggregationName, aggregations, type Aggregation, type AxisScores } from "./aggregate.js";

const MANIFEST = "importance.json";
const TENSORS = "scores.safetensors";
const FORMAT = 1;

const numbers = z.array(z.number());
const manifestSchema = z.looseObject({
  format: z.literal(FORMAT),
  model: z.looseObject({
    name: z.string(),
    fingerprint: z.string(),
    layers: z.number().int().min(1),
    hidden: z.number().int().min(1),
    ffn: z.number().int().min(1),
    heads: z.number().int().min(1),
    kvHeads: z.number().int().min(1),
  }),
  samples: z.number().int().min(1),
  seqLength: z.number().int().min(1),
  blockImportance: z.object({ all: numbers, withoutFirstPosition: numbers }),
  loss: z.object({
    samples: z.number().int().min(0),
    tokens: z.number().int().min(0),
    whole: z.number().nullable(),
    without: z.array(z.object({ size: z.number().int().min(1), losses: numbers })),
  }),
  /** Scores on tasks without blocks of layers. */
  tasks: z
    .array(
      z.object({
        task: z.string(),
        documents: z.number().int().min(1),
        shots: z.number().int().min(0),
        metric: z.string(),
        whole: z.record(z.string(), z.number()),
        without: z.array(z.object({ size: z.number().int().min(1), scores: z.record(z.string(), numbers) })),
      }),
    )
    .default([]),
});

export type ImportanceManifest = z.output<typeof manifestSchema>;

/** What was measured, before it is written. */
export interface MeasuredImportance {
  manifest: ImportanceManifest;
  scoresOf: (aggregation: Aggregation) => AxisScores;
}

export async function writeScores(directory: string, { manifest, scoresOf }: MeasuredImportance): Promise<void> {
  const tensors: PlannedTensor[] = [];
  for (const aggregation of aggregations) {
    const scores = scoresOf(aggregation);
    const name = aggregationName(aggregation);
    tensors.push(plan(`hidden.${name}`, [scores.hidden]));
    for (const axis of ["ffn", "heads", "kvGroups"] as const) tensors.push(plan(`${axis}.${name}`, scores[axis]));
  }
  await writeSafetensors(join(directory, TENSORS), tensors, "f32");
  await writeFile(join(directory, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
}

function plan(name: string, rows: readonly Float32Array[]): PlannedTensor {
  const width = rows[0]!.length;
  return {
    name,
    shape: rows.length === 1 && name.startsWith("hidden.") ? [width] : [rows.length, width],
    pieces: async function* () {
      for (const row of rows) yield new Uint8Array(row.buffer, row.byteOffset, row.byteLength);
    },
  };
}

/** Whether `importance` made the directory, as far as a glance tells. */
export function isScoresDirectory(path: string): Promise<boolean> {
  return stat(join(path, MANIFEST)).then(
    (info) => info.isFile(),
    () => false,
  );
}

/** ERR_IMPORTANCE_SCORES: the directory is none that `importance` made, or it is damaged. */
export async function readManifest(directory: string): Promise<ImportanceManifest> {
  const path = join(directory, MANIFEST);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new EspalierError(
      "ERR_IMPORTANCE_SCORES",
      `${directory}: expected a directory that \`importance\` made: ${(cause as Error).message}`,
      { cause },
    );
  }
  return parseFields(manifestSchema, value, { code: "ERR_IMPORTANCE_SCORES", where: path });
}

/** One aggregation of every axis. */
export async function readScores(
  directory: string,
  manifest: ImportanceManifest,
  aggregation: Aggregation,
): Promise<AxisScores> {
  const path = join(directory, TENSORS);
  const header = await readSafetensorsHeader(path);
  const bytes = await readFile(path);
  const { layers, hidden, ffn, heads, kvHeads } = manifest.model;
  const rows = (axis: string, count: number, width: number): Float32Array[] => {
    const name = `${axis}.${aggregationName(aggregation)}`;
    const tensor = header.tensors.find((entry) => entry.name === name);
    if (tensor?.type !== "f32" || tensor.sizeBytes !== 4 * count * width)
      throw new EspalierError("ERR_IMPORTANCE_SCORES", `${path}: ${name}: expected ${count} x ${width} f32 values`);
    return Array.from({ length: count }, (_, row) => {
      const begin = tensor.offset + 4 * row * width;
      return new Float32Array(Uint8Array.from(bytes.subarray(begin, begin + 4 * width)).buffer);
    });
  };
  return {
    hidden: rows("hidden", 1, hidden)[0]!,
    ffn: rows("ffn", layers, ffn),
    heads: rows("heads", layers, heads),
    kvGroups: rows("kvGroups", layers, kvHeads),
  };
}

/** What `prune` takes, under one aggregation. */
export async function loadImportance(directory: string, aggregation: Aggregation): Promise<ImportanceScores> {
  const manifest = await readManifest(directory);
  const { blockImportance } = manifest;
  const layers = aggregation.firstPosition ? blockImportance.all : blockImportance.withoutFirstPosition;
  return {
    model: manifest.model.fingerprint,
    ...(await readScores(directory, manifest, aggregation)),
    layers: Float64Array.from(layers),
    contiguous: contiguousOf(manifest),
  };
}

/** By size: the loss, and the mean over the tasks of each one's first metric. */
function contiguousOf({ loss, tasks }: ImportanceManifest): ContiguousBlocks[] {
  const scored = tasks.map(({ metric, without }) =>
    without.map(({ size, scores }) => ({ size, scores: scores[metric] ?? [] })),
  );
  const sizes = new Set([...loss.without, ...scored.flat()].map(({ size }) => size));
  return [...sizes].map((size) => {
    const losses = loss.without.find((row) => row.size === size)?.losses;
    const rows = scored.map((rowsOfTask) => rowsOfTask.find((row) => row.size === size)?.scores ?? []);
    const mean = (rows[0] ?? []).map((_, i) => rows.reduce((sum, row) => sum + (row[i] ?? NaN), 0) / rows.length);
    return {
      size,
      lossWithout: losses === undefined ? null : Float64Array.from(losses),
      accuracyWithout: mean.length === 0 ? null : Float64Array.from(mean),
    };
  });
}
