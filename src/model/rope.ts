/**
 * Rotary parameters: as transformers 4 and 5 write them, and back from the per-frequency factors of a GGUF file.
 */
import { z } from "zod";
import { EspalierError } from "../errors.js";
import { parseFields } from "./parse-fields.js";
import { ropeTypes, type RopeSpec, type RopeType } from "./spec.js";

const positive = z.number().positive();
const wholePositive = z.number().int().positive();

const ropeFields = z.looseObject({
  type: z.string().nullish(),
  rope_type: z.string().nullish(),
  rope_theta: positive.nullish(),
  factor: positive.nullish(),
  original_max_position_embeddings: wholePositive.nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  attention_factor: positive.nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().nullish(),
  partial_rotary_factor: z.number().nullish(),
});

/** JSON name, spec name, and the types that use it ("!": must have it). */
const fieldTable: readonly [keyof z.infer<typeof ropeFields>, keyof RopeSpec, readonly string[]][] = [
  ["factor", "factor", ["linear!", "dynamic!", "llama3!", "yarn!"]],
  ["original_max_position_embeddings", "originalMaxPositions", ["dynamic", "llama3!", "yarn!"]],
  ["low_freq_factor", "lowFreqFactor", ["llama3!"]],
  ["high_freq_factor", "highFreqFactor", ["llama3!"]],
  ["attention_factor", "attentionFactor", ["yarn"]],
  ["beta_fast", "betaFast", ["yarn"]],
  ["beta_slow", "betaSlow", ["yarn"]],
  ["mscale", "mscale", ["yarn"]],
  ["mscale_all_dim", "mscaleAllDim", ["yarn"]],
  ["truncate", "truncate", ["yarn"]],
];

export interface RopeContext {
  /** The file, for messages. */
  where: string;
  headDim: number;
  maxPositions: number;
  /** rope_theta beside the rope object, if any. */
  theta: number | undefined;
}

function ropeError(where: string, what: string): EspalierError {
  return new EspalierError("ERR_MODEL_ROPE", `${where}: ${what}`);
}

/** rope_parameters (transformers 5) or rope_scaling (4); `raw` is null or undefined when there is none. */
export function parseRope(raw: unknown, context: RopeContext): RopeSpec {
  const { where, headDim } = context;
  const fields = parseFields(ropeFields, raw ?? {}, { code: "ERR_MODEL_ROPE", where, prefix: "rope" });
  const type = (fields.rope_type ?? fields.type ?? "default") as RopeType;
  if (!ropeTypes.includes(type))
    throw ropeError(where, `rope_type "${type}" is not known; known are ${ropeTypes.join(", ")}`);
  if (Object.values(fields).some((value) => typeof value === "object" && value !== null && !Array.isArray(value)))
    throw ropeError(where, "rope parameters per layer type are not known");
  if ((fields.partial_rotary_factor ?? 1) !== 1)
    throw ropeError(where, `partial_rotary_factor: expected 1, found ${fields.partial_rotary_factor}`);
  const theta = fields.rope_theta ?? context.theta ?? 10000;
  const rope: Record<string, unknown> = { type, theta };
  // transformers falls back to the model's own length here.
  const filled = { ...fields };
  if (type === "llama3" || type === "yarn") filled.original_max_position_embeddings ??= context.maxPositions;
  if (type === "yarn")
    filled.factor ??= context.maxPositions / (filled.original_max_position_embeddings ?? context.maxPositions);
  for (const [json, name, users] of fieldTable) {
    const value = filled[json];
    if (users.includes(`${type}!`) && (value === null || value === undefined))
      throw ropeError(where, `rope_type "${type}" needs ${json}`);
    if ((users.includes(type) || users.includes(`${type}!`)) && value !== null && value !== undefined)
      rope[name] = value;
  }
  const spec = { ...rope, rotaryDim: headDim, interleaved: false } as unknown as RopeSpec;
  if (spec.type === "llama3" && (spec.highFreqFactor ?? 0) <= (spec.lowFreqFactor ?? 0))
    throw ropeError(
      where,
      `high_freq_factor ${spec.highFreqFactor} must be above low_freq_factor ${spec.lowFreqFactor}`,
    );
  return spec;
}

/** The `rope_scaling` object transformers 4 and 5 both read; null for plain rotary. */
export function ropeScalingOf(rope: RopeSpec): Record<string, unknown> | null {
  if (rope.type === "default") return null;
  const out: Record<string, unknown> = { rope_type: rope.type };
  for (const [json, name] of fieldTable) if (rope[name] !== undefined) out[json] = rope[name];
  return out;
}

/**
 * What each frequency is divided by, [rotaryDim / 2], with llama3 scaling (transformers' modeling_rope_utils).
 */
export function llama3Factors(rope: RopeSpec): number[] {
  const { factor = 1, lowFreqFactor: low = 1, highFreqFactor: high = 4, originalMaxPositions: original = 8192 } = rope;
  return Array.from({ length: rope.rotaryDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * rope.theta ** ((2 * i) / rope.rotaryDim);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const smooth = (original / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/**
 * The rotary type behind a GGUF file's rope_freqs.weight: none, linear, or llama3, whose parameters the file does not
 * keep. Only original / (high - low) and low / (high - low) shape the factors, so low = 1 loses nothing.
 */
export function ropeFromFactors(factors: ArrayLike<number>, theta: number, where: string): RopeSpec {
  const found = Array.from(factors);
  const base = { theta, rotaryDim: found.length * 2, interleaved: false } as const;
  const factor = found.reduce((a, b) => Math.max(a, b), 0);
  if (found.every((value) => close(value, 1))) return { type: "default", ...base };
  if (factor > 0 && found.every((value) => close(value, factor))) return { type: "linear", factor, ...base };
  for (const [high, original] of [[4, 8192] as const, ...solveLlama3(found, factor, theta)]) {
    const rope: RopeSpec = {
      type: "llama3",
      ...base,
      factor,
      lowFreqFactor: 1,
      highFreqFactor: high,
      originalMaxPositions: original,
    };
    if (llama3Factors(rope).every((value, i) => close(value, found[i] ?? NaN))) return rope;
  }
  throw ropeError(where, "rope_freqs.weight: the factors are not those of llama3 scaling, the only kind known");
}

/** [high, original] from two frequencies whose factor lies between 1 and `factor`. */
function solveLlama3(found: number[], factor: number, theta: number): [number, number][] {
  const points = found.flatMap((value, i): [number, number][] => {
    if (close(value, 1) || close(value, factor)) return [];
    const wavelength = 2 * Math.PI * theta ** (i / found.length);
    // smooth = original / (high - low) / wavelength - low / (high - low)
    return [[1 / wavelength, (1 / value - 1 / factor) / (1 - 1 / factor)]];
  });
  const [first, last] = [points[0], points[points.length - 1]];
  if (first === undefined || last === undefined || first === last) return [];
  const slope = (last[1] - first[1]) / (last[0] - first[0]);
  const high = 1 + 1 / (slope * first[0] - first[1]);
  const rounded = Math.round(high * 1000) / 1000;
  return [[rounded, Math.round(slope * (rounded - 1))]];
}

function close(a: number, b: number): boolean {
  return Math.abs(a - b) <= 1e-4 * Math.abs(b);
}
