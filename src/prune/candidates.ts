// SPDX-License-Identifier: Apache-2.0
/**
 * Sizes that meet a budget. Without a light search by training, the candidate that keeps most importance wins.
 */
import { EspalierError } from "../errors.js";
import { parameterCount } from "../model/families.js";
import type { ModelSpec } from "../model/spec.js";
import type { MeasuredLatency } from "./latency.js";
import { amountText, budgetOf, isNear, memoryBytes, type Budget } from "./budget.js";
import type { ResolvedPruneOptions } from "./config.js";
import { gridOf } from "./grid.js";
import { importanceKept } from "./kept.js";
import type { ImportanceScores } from "./scores.js";
import { specWith, type Shape } from "./shape.js";

export interface Candidate extends Shape {
  parameters: number;
  /** Product over the axes of the part of the scores that stays, 0..1; null without scores. */
  keptImportance: number | null;
  /** With targetMemory: weights, and keys and values of the budget's batch and context. */
  memoryBytes?: number | undefined;
  /** With targetLatency: milliseconds of a decode token, measured on this machine with random weights. */
  latencyMs?: number | undefined;
  /** Others used more than 5 % of the machine meanwhile; null: it cannot be known. */
  disturbed?: boolean | null | undefined;
}

/** Shapes that are measured at most, and that suffice once they meet the budget. */
const MAX_MEASURED = 10;
const ENOUGH = 3;

/** Candidates within 5 % of the budget, smaller than the source, best first. ERR_PRUNE_BUDGET when there is none. */
export function findCandidates(
  spec: ModelSpec,
  options: ResolvedPruneOptions,
  scores: ImportanceScores | null,
): Candidate[] {
  const budget = budgetOf(spec, options);
  const counted = countedGrid(spec, options, scores);
  const amount = ({ parameters, memoryBytes: bytes }: Candidate): number => bytes ?? parameters;
  const near = counted.filter((row) => amount(row) < budget.source && isNear(amount(row), budget.target));
  if (near.length === 0) throw budgetError(budget, counted.map(amount));
  return withKept(spec, near, scores).sort(better);
}

/** Times a decode token of a shape. */
export type MeasureLatency = (row: Candidate) => Promise<MeasuredLatency>;

/**
 * As `findCandidates` for a latency. Shapes are measured one after another: each time the best one of those that should
 * meet the budget, taking the time for a parameter from the measured shape with the nearest number of them. Only measured
 * shapes become candidates.
 */
export async function findLatencyCandidates(
  spec: ModelSpec,
  options: ResolvedPruneOptions,
  scores: ImportanceScores | null,
  source: Candidate & { latencyMs: number },
  measure: MeasureLatency,
): Promise<Candidate[]> {
  const budget = budgetOf(spec, options, source.latencyMs);
  const isSource = (row: Candidate): boolean => row.parameters === source.parameters;
  const left = withKept(spec, countedGrid(spec, options, scores), scores)
    .filter((row) => !isSource(row))
    .sort(better);
  const measured = [source];
  const found: Candidate[] = [];
  while (measured.length <= MAX_MEASURED && found.length < ENOUGH && left.length > 0) {
    const next = nextToMeasure(left, measured, budget.target);
    if (!isNear(next.expected, budget.target) && found.length > 0) break;
    const [row] = left.splice(left.indexOf(next.row), 1);
    const timed = { ...row!, ...(await measure(row!)) };
    measured.push(timed);
    if (isNear(timed.latencyMs, budget.target)) found.push(timed);
  }
  if (found.length === 0)
    throw budgetError(
      budget,
      measured.map(({ latencyMs }) => latencyMs),
    );
  return found.sort(better);
}

/** The best of those expected to meet the target, else the one expected nearest to it. */
function nextToMeasure(
  left: readonly Candidate[],
  measured: readonly { parameters: number; latencyMs: number }[],
  target: number,
): { row: Candidate; expected: number } {
  const expectedOf = ({ parameters }: Candidate): number => {
    const distance = (row: { parameters: number }): number => Math.abs(row.parameters - parameters);
    const nearest = measured.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    return (nearest.latencyMs * parameters) / nearest.parameters;
  };
  let nearest: { row: Candidate; expected: number } | null = null;
  for (const row of left) {
    const expected = expectedOf(row);
    if (isNear(expected, target)) return { row, expected };
    if (nearest === null || Math.abs(expected - target) < Math.abs(nearest.expected - target))
      nearest = { row, expected };
  }
  return nearest!;
}

/** The grid with what each shape has of parameters and, for such a budget, takes of memory. */
function countedGrid(spec: ModelSpec, options: ResolvedPruneOptions, scores: ImportanceScores | null): Candidate[] {
  return gridOf(spec, options, scores).map((shape) => {
    const pruned = specWith(spec, shape);
    const counted = { ...shape, parameters: parameterCount(pruned), keptImportance: null };
    return options.targetMemory === undefined ? counted : { ...counted, memoryBytes: memoryBytes(pruned, options) };
  });
}

function withKept(spec: ModelSpec, rows: readonly Candidate[], scores: ImportanceScores | null): Candidate[] {
  const kept = scores === null ? null : importanceKept(spec, scores);
  return rows.map((row) => ({ ...row, keptImportance: kept?.(row) ?? null }));
}

function better(a: Candidate, b: Candidate): number {
  return (b.keptImportance ?? 0) - (a.keptImportance ?? 0) || b.parameters - a.parameters || b.layers - a.layers;
}

function budgetError({ kind, option, target }: Budget, amounts: readonly number[]): EspalierError {
  const low = amounts.reduce((least, size) => Math.min(least, size), Infinity);
  const high = amounts.reduce((most, size) => Math.max(most, size), 0);
  const counted = kind === "latency" ? `${amounts.length} measured` : `${amounts.length} sizes`;
  return new EspalierError(
    "ERR_PRUNE_BUDGET",
    `prune: ${option}: expected a candidate within 5 % of ${amountText(kind, target)}, ` +
      `found ${counted} from ${amountText(kind, low)} to ${amountText(kind, high)}`,
  );
}
