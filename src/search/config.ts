// SPDX-License-Identifier: Apache-2.0
/**
 * Options of a light search: those of pruning to a budget, and of the short distillations that rank its candidates.
 */
import { z } from "zod";
import { lossPolicies } from "../distill/index.js";
import { EspalierError } from "../errors.js";
import { parseFields } from "../model/parse-fields.js";
import { budgetOptions, resolvePruneOptions, type PruneOptions } from "../prune/config.js";

const count = z.number().int().min(1);

const schema = z.strictObject({
  /** Steps that every candidate is distilled for. Rankings hold after about 300 (arXiv 2407.14679, section 4). */
  steps: count,
  /** So many candidates, those that keep most importance. */
  candidates: count.default(4),
  /** As `distill` takes it. */
  data: z.string().min(1),
  globalBatch: count.optional(),
  microBatch: count.optional(),
  /** Default: 512, or the model's positions where these are fewer. */
  seqLength: z.number().int().min(2).optional(),
  lr: z.number().positive().optional(),
  /** Parts of the documents for training, validation, test; candidates are ranked on the second. */
  split: z.string().optional(),
  /** Global batches of the validation. */
  limitValBatches: count.default(8),
  loss: z.enum(lossPolicies).default("auto"),
  threads: count.optional(),
  isa: z.enum(["auto", "ref", "avx2", "avx512", "avx512_bf16"]).optional(),
});

export type LightSearchOptions = z.input<typeof schema>;
export type ResolvedLightSearchOptions = z.output<typeof schema>;

export interface SearchOptions extends Omit<PruneOptions, "configOnly" | "dryRun" | "listCandidates"> {
  model: string;
  out: string;
  search: LightSearchOptions;
}

export interface ResolvedSearchOptions {
  model: string;
  out: string;
  prune: PruneOptions;
  search: ResolvedLightSearchOptions;
}

/** ERR_ARGUMENT names the option. */
export function resolveSearchOptions({ search: given, ...prune }: SearchOptions): ResolvedSearchOptions {
  const search = parseFields(schema, given, { code: "ERR_ARGUMENT", where: "prune: search" });
  const { model, out, importance, dryRun, listCandidates, ...rest } = resolvePruneOptions(prune);
  if (model === undefined || out === undefined || dryRun || listCandidates)
    throw searchError("a search trains candidates: expected model and out, and neither dryRun nor listCandidates");
  if (importance === undefined) throw searchError("importance: expected scores beside it, found none");
  if (budgetOptions.every((name) => rest[name] === undefined))
    throw searchError(`expected ${budgetOptions.join(", ")} beside it, found none: there is nothing to choose from`);
  return { model, out, prune, search };
}

export function searchError(message: string): EspalierError {
  return new EspalierError("ERR_ARGUMENT", `prune: search: ${message}`);
}
