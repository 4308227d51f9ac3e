// SPDX-License-Identifier: Apache-2.0
/**
 * Options of quantization: one schema for the command line, the API and recipes, and what is checked across options.
 */
import { z } from "zod";
import { EspalierError } from "../errors.js";
import { parseFields } from "../model/parse-fields.js";
import { nearestHint } from "../nearest.js";
import { isStatic, NO_SCHEME, schemes, type Scheme } from "./schemes.js";

export const rangeMethods = ["max", "percentile", "mse", "hqq"] as const;
export type RangeMethod = (typeof rangeMethods)[number];

const path = z.string().min(1);

export const quantizeSchema = z.strictObject({
  /** Model directory or GGUF file. */
  model: path,
  /** A row of `schemes`; "none" with `kvCache` alone. */
  scheme: z.string(),
  /** Columns that share a scale. */
  groupSize: z.number().int().min(16).max(4096).optional(),
  /** Zero points beside scales. */
  asymmetric: z.boolean().default(false),
  /** bitsandbytes: quantize the scales as well. */
  doubleQuant: z.boolean().default(false),
  /** One scale for the whole weight instead of one a channel. */
  perTensor: z.boolean().default(false),
  /** How the range of a group is found. */
  method: z.enum(rangeMethods).default("max"),
  /** With method percentile: the share of weights inside the range. Default 0.9999. */
  percentile: z.number().gt(0).max(1).optional(),
  /** Patterns of weights to quantize as well: the head, the embedding. */
  include: z.array(z.string().min(1)).default([]),
  /** Patterns of weights that stay as they are. */
  exclude: z.array(z.string().min(1)).default([]),
  /** Pattern to scheme, for some weights: { "*.down_proj": "w8a16" }; the last match wins. */
  overrides: z.record(z.string(), z.string()).default({}),
  /** Keys and values of engines that load it. */
  kvCache: z.enum(["int8", "fp8"]).optional(),
  /** Static schemes: a UTF-8 text that shows what inputs the layers get. */
  calibration: path.optional(),
  /** Of that text: so many parts, spread evenly. Default 128. */
  calibrationSamples: z.number().int().min(1).optional(),
  /** Tokens of a part. Default 512, or the model's positions where these are fewer. */
  calibrationLength: z.number().int().min(2).optional(),
  /** Fold a rotation of the residual stream into the weights: outlier channels are spread, inputs lose less to int8. */
  rotate: z.boolean().default(false),
  /** Write rounded weights as floats: accuracy can be measured where no kernel or file format exists. */
  simulate: z.boolean().default(false),
  /** What weights that stay, and scales, are written in. Default: as the source, f32 for a quantized one. */
  dtype: z.enum(["f32", "f16", "bf16"]).optional(),
  maxShardBytes: z.number().positive().default(5e9),
  /** Plan and estimate, write nothing. */
  dryRun: z.boolean().default(false),
  /** HTML page to write: size, perplexity and speed against the source, and the weights that rounding hurts most. */
  report: path.optional(),
  /** With report: a UTF-8 text, on which the perplexity of both is measured. */
  perplexity: path.optional(),
  /** Of the text: only the first so many tokens. Default 16384. */
  maxTokens: z.number().int().min(2).optional(),
  /** Directory to make; must not exist. */
  out: path.optional(),
});

export type QuantizeOptions = z.input<typeof quantizeSchema>;
export type ResolvedQuantizeOptions = z.output<typeof quantizeSchema>;

export function quantizeError(what: string): EspalierError {
  return new EspalierError("ERR_ARGUMENT", `quantize: ${what}`);
}

/** Options with their defaults. ERR_ARGUMENT names what cannot be. */
export function resolveQuantizeOptions(given: QuantizeOptions): ResolvedQuantizeOptions {
  const options = parseFields(quantizeSchema, given, { code: "ERR_ARGUMENT", where: "quantize" });
  if (options.out === undefined && !options.dryRun) throw quantizeError("out: expected a directory to make");
  for (const [pattern, id] of Object.entries(options.overrides)) schemeOf(id, `overrides["${pattern}"]`);
  for (const name of ["perplexity", "maxTokens"] as const)
    if (options[name] !== undefined && options[name === "perplexity" ? "report" : "perplexity"] === undefined)
      throw quantizeError(`${name}: expected it with ${name === "perplexity" ? "report" : "perplexity"} alone`);
  if (options.report !== undefined && options.dryRun) throw quantizeError("report: a dry run makes nothing to measure");
  const scheme = schemeOf(options.scheme, "scheme");
  checkScheme(scheme, options);
  return options;
}

/** null: "none". */
export function schemeOf(id: string, where: string): Scheme | null {
  if (id === NO_SCHEME) return null;
  const scheme = schemes.get(id);
  if (scheme !== undefined) return scheme;
  const known = [...schemes.keys(), NO_SCHEME];
  throw quantizeError(`${where}: expected one of ${known.join(", ")}, found "${id}"${nearestHint(id, known)}`);
}

function checkScheme(scheme: Scheme | null, options: ResolvedQuantizeOptions): void {
  const all = [scheme, ...Object.values(options.overrides).map((id) => schemeOf(id, "overrides"))].filter(
    (row) => row !== null,
  );
  if (all.length === 0 && options.kvCache === undefined)
    throw quantizeError('scheme: "none" without overrides or kvCache leaves nothing to do');
  const takes = (name: "groupSize" | "asymmetric" | "doubleQuant" | "grid"): boolean =>
    all.some((row) => row.allows.includes(name));
  const names = all.map(({ id }) => id).join(", ");
  if (options.groupSize !== undefined && !takes("groupSize"))
    throw quantizeError(`groupSize: ${names} has ${all[0]?.grid === "group" ? "groups of its own" : "no groups"}`);
  if (options.asymmetric && !takes("asymmetric")) throw quantizeError(`asymmetric: ${names} has no zero points`);
  if (options.doubleQuant && !takes("doubleQuant"))
    throw quantizeError(`doubleQuant: expected nf4 or fp4, found ${names}`);
  if (options.perTensor && !takes("grid")) throw quantizeError(`perTensor: ${names} has groups or blocks`);
  if (options.method === "hqq" && !takes("asymmetric"))
    throw quantizeError(`method: hqq finds zero points, which ${names} does not have; expected w4a16 or w8a16`);
  if (options.percentile !== undefined && options.method !== "percentile")
    throw quantizeError(`percentile: expected none with method ${options.method}, found ${options.percentile}`);
  for (const row of all)
    if (row.stored === null && !options.simulate)
      throw quantizeError(`scheme: ${row.id}: no file format that others read holds it; use simulate`);
  checkCalibration(all, options);
  const methods = new Set(all.flatMap((row) => row.stored?.method ?? []));
  if (methods.size > 1 && !options.simulate)
    throw quantizeError(`overrides: ${[...methods].join(" and ")} cannot be mixed in one model`);
  if (options.kvCache !== undefined && methods.has("bitsandbytes") && !options.simulate)
    throw new EspalierError("ERR_ARGUMENT", "quantize: kvCache: bitsandbytes' configuration has no place for it", {
      hint: "Whoever loads the engine can ask for it: --kv-dtype.",
    });
}

function checkCalibration(all: readonly Scheme[], options: ResolvedQuantizeOptions): void {
  const fixed = all.find(isStatic);
  if (fixed !== undefined && !options.simulate) {
    if (options.calibration !== undefined) return;
    const twin = fixed.activations?.type === "float" ? "fp8-dynamic" : "w8a8";
    throw new EspalierError(
      "ERR_ARGUMENT",
      `quantize: calibration: expected a text file with ${fixed.id}, found none`,
      {
        hint: `Scales of inputs are measured on a text like those the model will see; ${twin} finds them for every token.`,
      },
    );
  }
  const names = all.map(({ id }) => id).join(", ") || NO_SCHEME;
  const reason = fixed === undefined ? `${names} measures no inputs` : "simulate leaves activations as they are";
  for (const name of ["calibration", "calibrationSamples", "calibrationLength"] as const)
    if (options[name] !== undefined) throw quantizeError(`${name}: expected none: ${reason}`);
}
