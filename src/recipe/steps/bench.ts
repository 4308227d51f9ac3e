// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { bench, largestBatchOf, type BenchCell } from "../../bench/index.js";
import { kvDtypes } from "../../engine/index.js";
import { parseFields } from "../../model/parse-fields.js";
import { fieldsOf, stepKind } from "../step-kind.js";
import { withEngines, type EngineFacts } from "./engines.js";

const count = z.number().int().min(1);
const counts = z.union([count.transform((value) => [value]), z.array(count).min(1)]);

const schema = z.strictObject({
  /** Engines, model directories or GGUF files, measured turn by turn; ratios are over the first. */
  engines: z.array(z.string().min(1)).min(1),
  /** Weight format of models that are no engines yet. */
  weights: z.string().default("f32"),
  isl: counts.default([128]),
  osl: counts.default([32]),
  batch: z
    .array(z.union([count, z.literal("auto")]))
    .min(1)
    .default([1]),
  repeats: count.default(3),
  maxAttempts: count.default(1),
  kvDtype: z.enum(kvDtypes).optional(),
  threads: count.optional(),
  isa: z.enum(["auto", "ref", "avx2", "avx512", "avx512_bf16"]).default("auto"),
});

export interface BenchOutcome {
  engines: EngineFacts[];
  cells: BenchCell[];
  /** Of each engine alone at the longest ISL + OSL, by the memory that was free. */
  largestBatches: number[];
  /** That ISL + OSL. */
  largestTokens: number;
}

/** Speed of several engines at ISL × OSL × batch. */
export const benchStep = stepKind({
  verb: "bench",
  options: fieldsOf(schema),
  paths: { engines: ["model", "engine"] },
  makes: "figures",
  parse: (given) => parseFields(schema, given, { code: "ERR_ARGUMENT", where: "bench" }),
  run: async ({ engines: paths, weights, threads, kvDtype, ...options }, context) => {
    const { signal, onProgress } = context;
    const outcome = await withEngines(paths, weights, context, async (engines): Promise<BenchOutcome> => {
      const [first, ...others] = engines.map(({ engine }) => engine.directory);
      const cells = await bench(first!, {
        ...options,
        compare: others,
        ...(kvDtype === undefined ? {} : { kvDtype }),
        ...(threads === undefined ? {} : { threads }),
        ...(signal === undefined ? {} : { signal }),
        onProgress: (event) => onProgress({ verb: "bench", event }),
      });
      const tokens = Math.max(...options.isl) + Math.max(...options.osl);
      const largestBatches = await Promise.all(
        engines.map(({ engine }) => largestBatchOf(engine.directory, tokens, kvDtype)),
      );
      return { engines, cells, largestBatches, largestTokens: tokens };
    });
    return { product: context.directory, outcome };
  },
});
