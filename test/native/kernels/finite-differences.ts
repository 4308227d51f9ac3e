/**
 * Gradients by central differences in float64, which backward kernels are checked against.
 */

/** d f / d x for every element of x, with an error of about 1e-9 for values near 1. */
export function numericGradient(f: (x: Float64Array) => number, x: ArrayLike<number>): Float64Array {
  const point = Float64Array.from(x);
  return point.map((value, i) => {
    const step = 1e-4;
    const at = (shift: number): number => {
      point[i] = value + shift;
      const out = f(point);
      point[i] = value;
      return out;
    };
    // Fourth order: the error is about step^4.
    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
  });
}

/** Σ a b: the scalar whose gradient a backward pass with dout = b gives. */
export function inner(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; ++i) sum += a[i]! * b[i]!;
  return sum;
}
