/** Medians, percentiles and spread of repeated measurements. */

export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** Percentile by linear interpolation between closest ranks; `fraction` in [0, 1]. null for no values. */
export function percentile(values: readonly number[], fraction: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const rank = fraction * (sorted.length - 1);
  const below = Math.floor(rank);
  const low = sorted[below] as number;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number;
  return low + (high - low) * (rank - below);
}

export function median(values: readonly number[]): number | null {
  return percentile(values, 0.5);
}

/** Median with the smallest and largest value. null for no values. */
export function spreadOf(values: readonly number[]): Spread | null {
  const middle = median(values);
  if (middle === null) return null;
  return { median: middle, min: Math.min(...values), max: Math.max(...values) };
}

/** Ratios b / a of paired measurements; pairs with a missing or zero value are left out. */
export function pairedRatios(a: readonly (number | null)[], b: readonly (number | null)[]): number[] {
  const ratios: number[] = [];
  for (const [index, first] of a.entries()) {
    const second = b[index] ?? null;
    if (first !== null && second !== null && first > 0) ratios.push(second / first);
  }
  return ratios;
}

/** The values that are there. */
export function present(values: readonly (number | null)[]): number[] {
  return values.filter((value): value is number => value !== null);
}
