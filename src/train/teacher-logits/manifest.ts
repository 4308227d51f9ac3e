// SPDX-License-Identifier: Apache-2.0
/**
 * teacher-logits.json: what a cache of a teacher's largest logits was made of, and where each sample stands.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { EspalierError } from "../../errors.js";
import { parseFields } from "../../model/parse-fields.js";
import { recordBytes } from "./layout.js";

export const MANIFEST = "teacher-logits.json";

const count = z.number().int().min(0);
const atLeastOne = z.number().int().min(1);

const schema = z.strictObject({
  format: z.literal(1),
  espalierVersion: z.string(),
  teacher: z.strictObject({ name: z.string(), fingerprint: z.string(), layers: atLeastOne }),
  vocabSize: atLeastOne,
  /** Fingerprint; null: the teacher has none. */
  tokenizer: z.string().nullable(),
  /** Fingerprint of the samples and their order. */
  data: z.string(),
  sequenceLength: atLeastOne,
  split: z.string(),
  seed: count,
  resetAttention: z.boolean(),
  /** Largest logits kept of every token. */
  topK: atLeastOne,
  /** Of the training split; those of the validation split follow. */
  samples: count,
  validationSamples: count,
  samplesPerShard: atLeastOne,
  /** Part of the teacher's probability that the kept logits have: mean and least over tokens whose label counts. */
  coverage: z.strictObject({ mean: z.number(), least: z.number() }),
});

export type TeacherLogitsManifest = z.output<typeof schema>;
/** All but what is known at the end only. */
export type TeacherLogitsPlan = Omit<TeacherLogitsManifest, "coverage">;

export function shardName(index: number): string {
  return `logits-${String(index).padStart(5, "0")}.bin`;
}

export function totalSamples({ samples, validationSamples }: TeacherLogitsPlan): number {
  return samples + validationSamples;
}

export function totalBytes(plan: TeacherLogitsPlan): number {
  return totalSamples(plan) * recordBytes(plan);
}

/** ERR_TEACHER_LOGITS: the directory is none that `distill --cache-teacher` made, or a file of it has another size. */
export async function readTeacherLogitsManifest(directory: string): Promise<TeacherLogitsManifest> {
  const path = join(directory, MANIFEST);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new EspalierError(
      "ERR_TEACHER_LOGITS",
      `${directory}: expected a directory that \`distill --cache-teacher\` made: ${(cause as Error).message}`,
      { cause },
    );
  }
  const manifest = parseFields(schema, value, { code: "ERR_TEACHER_LOGITS", where: path });
  if (manifest.topK > manifest.vocabSize)
    throw new EspalierError(
      "ERR_TEACHER_LOGITS",
      `${path}: topK: expected at most the vocabulary of ${manifest.vocabSize}, found ${manifest.topK}`,
    );
  await checkShards(directory, manifest);
  return manifest;
}

async function checkShards(directory: string, manifest: TeacherLogitsManifest): Promise<void> {
  const { samplesPerShard } = manifest;
  const total = totalSamples(manifest);
  for (let first = 0; first < total; first += samplesPerShard) {
    const path = join(directory, shardName(first / samplesPerShard));
    const expected = Math.min(samplesPerShard, total - first) * recordBytes(manifest);
    const found = await stat(path).then(
      ({ size }) => size,
      () => null,
    );
    if (found !== expected)
      throw new EspalierError(
        "ERR_TEACHER_LOGITS",
        `${path}: expected ${expected} bytes, found ${found === null ? "no file" : `${found}`}`,
      );
  }
}
