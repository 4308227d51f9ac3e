/**
 * Shapes and checks shared by the tests of operators that work row by row.
 */
import { isas, randomArray, unaligned } from "./matmul-cases.js";

export { isas, randomArray, unaligned };

/** [rows, width]: empty, 1, odd, prime, around the 8 and 16 lanes, SmolLM2's hidden size, enough to be spread. */
export const rowShapes: readonly (readonly [rows: number, width: number])[] = [
  [0, 8],
  [1, 1],
  [3, 5],
  [2, 8],
  [5, 13],
  [2, 16],
  [3, 17],
  [1, 31],
  [4, 64],
  [2, 67],
  [1, 576],
  [3, 577],
  [97, 576],
];

/** What a kernel must not touch keeps this value. */
export const untouched = 777;

/** An output of `rows` rows `stride` apart, filled with a pattern that shows what was written; not aligned. */
export function freshRows(rows: number, stride: number): Float32Array {
  return unaligned(new Float32Array(rows * stride).fill(untouched), 1);
}

/** The `width` columns that count of each row, one after another: comparers must not see what lies between. */
export function dense(values: Float32Array, rows: number, width: number): Float32Array {
  const stride = rows === 0 ? 0 : values.length / rows;
  const out = new Float32Array(rows * width);
  for (let row = 0; row < rows; ++row) out.set(values.subarray(row * stride, row * stride + width), row * width);
  return out;
}

/** The error `call` throws, as code and message. */
export function failureOf(call: () => unknown): { code: string; message: string } {
  try {
    call();
  } catch (error) {
    return { code: (error as { code: string }).code, message: (error as Error).message };
  }
  throw new Error("expected a failure");
}
