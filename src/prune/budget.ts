// SPDX-License-Identifier: Apache-2.0
/**
 * What a pruned model may have of parameters, take of memory, or take of time.
 */
import { parameterCount } from "../model/families.js";
import type { ModelSpec } from "../model/spec.js";
import { budgetOptions, pruneError, type BudgetOption, type ResolvedPruneOptions } from "./config.js";

export interface Budget {
  kind: "params" | "memory" | "latency";
  option: BudgetOption;
  /** Parameters, bytes or milliseconds. */
  target: number;
  /** The same of the source. */
  source: number;
}

/** Budgets are met within this part. */
const TOLERANCE = 0.05;

const units: Record<string, number> = { "": 1, ms: 1, K: 1e3, M: 1e6, B: 1e9, KB: 1e3, MB: 1e6, GB: 1e9 };
const binaryUnits: Record<string, number> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
const bytesOf = { f32: 4, f16: 2, bf16: 2 } as const;

/** Tokens of the cache that a memory budget counts, unless told otherwise: Model Optimizer's sequence. */
const DEFAULT_CONTEXT = 4096;

export function isNear(amount: number, target: number): boolean {
  return Math.abs(amount - target) <= TOLERANCE * target;
}

export function hasBudget(options: Partial<Record<BudgetOption, unknown>>): boolean {
  return budgetOptions.some((name) => options[name] !== undefined);
}

/** The budget asked for; a latency's source must be measured before. ERR_ARGUMENT: not below the source. */
export function budgetOf(spec: ModelSpec, options: ResolvedPruneOptions, sourceMs = NaN): Budget {
  const { targetParams, targetMemory, targetLatency } = options;
  if (targetMemory !== undefined) {
    const source = memoryBytes(spec, options);
    return { kind: "memory", option: "targetMemory", source, target: parseTarget("memory", targetMemory, source) };
  }
  if (targetLatency !== undefined) {
    const target = parseTarget("latency", targetLatency, sourceMs);
    return { kind: "latency", option: "targetLatency", source: sourceMs, target };
  }
  const source = parameterCount(spec);
  const target = Math.round(parseTarget("params", targetParams ?? NaN, source));
  return { kind: "params", option: "targetParams", source, target };
}

/** 2.5e9 of "2.5B", "2500M" or, of a source of 5e9, "50%"; 2e9 of "2GB"; 12.5 of "12.5ms". ERR_ARGUMENT. */
export function parseTarget(kind: Budget["kind"], asked: number | string, source: number): number {
  const text = String(asked);
  const unit = text.replace(/^[\d.]+/, "");
  const target = Number.parseFloat(text) * (unit === "%" ? source / 100 : (units[unit] ?? binaryUnits[unit] ?? NaN));
  if (target > 0 && target < source) return target;
  const [option, whose] = {
    params: ["targetParams", "parameters"],
    memory: ["targetMemory", "bytes"],
    latency: ["targetLatency", "ms a token, measured here"],
  }[kind];
  const amount = kind === "latency" ? source.toFixed(3) : String(source);
  throw pruneError(`${option}: expected fewer than the source's ${amount} ${whose}, found ${text}`);
}

/**
 * Bytes of weights, and of keys and values of a batch: Model Optimizer's
 * params · bytes + layers · 2 · batch · tokens · kv heads · head_dim · bytes.
 */
export function memoryBytes(
  spec: ModelSpec,
  {
    dtype = "f32",
    budgetBatch = 1,
    budgetContext,
  }: Pick<ResolvedPruneOptions, "dtype" | "budgetBatch" | "budgetContext">,
): number {
  const { numLayers, numKvHeads, headDim, maxPositions } = spec;
  const tokens = budgetContext ?? Math.min(DEFAULT_CONTEXT, maxPositions);
  return bytesOf[dtype] * (parameterCount(spec) + 2 * numLayers * budgetBatch * tokens * numKvHeads * headDim);
}

export function amountText(kind: Budget["kind"], amount: number): string {
  if (kind === "params") return `${amount} parameters`;
  return kind === "memory" ? `${Math.round(amount)} bytes` : `${amount.toFixed(3)} ms`;
}
