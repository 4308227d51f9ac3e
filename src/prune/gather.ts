// SPDX-License-Identifier: Apache-2.0
/**
 * Rows and columns of a matrix.
 */

/** values [rows, cols], row-major -> [kept rows, kept cols]; null: all. */
export function gather<T extends Uint16Array | Uint32Array | Float32Array>(
  values: T,
  width: number,
  rows: Uint32Array | null,
  cols: Uint32Array | null,
): T {
  if (rows === null && cols === null) return values;
  const rowCount = rows?.length ?? values.length / width;
  const colCount = cols?.length ?? width;
  const out = new (values.constructor as new (length: number) => T)(rowCount * colCount);
  for (let i = 0; i < rowCount; ++i) {
    const begin = (rows?.[i] ?? i) * width;
    if (cols === null) out.set(values.subarray(begin, begin + width), i * colCount);
    else for (let j = 0; j < colCount; ++j) out[i * colCount + j] = values[begin + cols[j]!]!;
  }
  return out;
}
