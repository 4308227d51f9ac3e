/**
 * Comparers for native results. Each throws with the place, the two values and the bound; none prints anything.
 */
import { type Tolerance, type ToleranceKey, tolerances } from "./tolerances.js";

/** Any array of numbers: typed arrays and plain ones alike. */
export type NumberArray = ArrayLike<number>;

/** Checks `actual` against `expected` by the row `key` of the tolerance table. */
export function expectWithin(actual: NumberArray, expected: NumberArray, key: ToleranceKey, label = ""): void {
  compareBy(actual, expected, tolerances[key], label === "" ? key : `${key} ${label}`);
}

/** Checks by an explicit tolerance. */
export function compareBy(actual: NumberArray, expected: NumberArray, tolerance: Tolerance, label: string): void {
  switch (tolerance.metric) {
    case "exact":
      return compareExact(actual, expected, label);
    case "element":
      return compareElements(actual, expected, tolerance.atol, tolerance.rtol, label);
    case "nmse":
      return compareNmse(actual, expected, tolerance.bound, label);
  }
}

/** Same length, same values; NaN equals NaN, and -0 differs from 0. */
export function compareExact(actual: NumberArray, expected: NumberArray, label: string): void {
  checkLength(actual, expected, label);
  for (let i = 0; i < expected.length; ++i)
    if (!Object.is(actual[i], expected[i])) throw mismatch(label, i, actual, expected, "exactly equal");
}

/** |actual - expected| <= atol + rtol * |expected| everywhere; NaN and infinities must stand in the same places. */
export function compareElements(
  actual: NumberArray,
  expected: NumberArray,
  atol: number,
  rtol: number,
  label: string,
): void {
  checkLength(actual, expected, label);
  for (let i = 0; i < expected.length; ++i) {
    const a = actual[i]!;
    const e = expected[i]!;
    if (!Number.isFinite(e) ? Object.is(a, e) : Math.abs(a - e) <= atol + rtol * Math.abs(e)) continue;
    throw mismatch(label, i, actual, expected, `atol ${atol} + rtol ${rtol}`);
  }
}

/** Normalised mean square error Σ(a - e)² / Σe² <= bound; anything not finite must be equal. */
export function compareNmse(actual: NumberArray, expected: NumberArray, bound: number, label: string): void {
  checkLength(actual, expected, label);
  for (let i = 0; i < expected.length; ++i)
    if (!(Number.isFinite(expected[i]) && Number.isFinite(actual[i])) && !Object.is(actual[i], expected[i]))
      throw mismatch(label, i, actual, expected, "finite, or the same non-finite value");
  const error = nmse(actual, expected);
  if (!(error <= bound)) throw new Error(`${label}: normalised mean square error ${error} is over ${bound}`);
}

/** Σ(a - e)² / Σe² over the finite entries; 0 when both are all zero, Infinity when only `expected` is. */
export function nmse(actual: NumberArray, expected: NumberArray): number {
  let error = 0;
  let power = 0;
  for (let i = 0; i < expected.length; ++i) {
    if (!Number.isFinite(expected[i])) continue;
    error += (actual[i]! - expected[i]!) ** 2;
    power += expected[i]! ** 2;
  }
  return error === 0 ? 0 : error / power;
}

function checkLength(actual: NumberArray, expected: NumberArray, label: string): void {
  if (actual.length !== expected.length)
    throw new Error(`${label}: expected ${expected.length} values, found ${actual.length}`);
}

function mismatch(label: string, i: number, actual: NumberArray, expected: NumberArray, bound: string): Error {
  return new Error(
    `${label}: at ${i} of ${expected.length} expected ${expected[i]}, found ${actual[i]} (bound: ${bound})`,
  );
}
