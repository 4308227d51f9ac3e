/**
 * Token ids as callers give them -> Int32Array. Int32Array.from would wrap 2^32 to 0 and cut 1.5 to 1 without a word.
 */
import { EspalierError } from "../errors.js";

/** ERR_ARGUMENT when it is no list of whole numbers, ERR_TOKEN_ID for one outside the vocabulary. */
export function toTokenIds(ids: unknown, vocabSize: number): Int32Array {
  if (ids instanceof Int32Array) return ids; // the native engine checks these against the vocabulary
  const list = ids as ArrayLike<unknown> | null | undefined;
  if (typeof list !== "object" || list === null || !Number.isSafeInteger(list.length))
    throw new EspalierError("ERR_ARGUMENT", `ids: expected a list of token ids, found ${describe(ids)}`);
  const result = new Int32Array(list.length);
  for (let i = 0; i < list.length; ++i) {
    const id = list[i];
    if (typeof id !== "number" || !Number.isInteger(id))
      throw new EspalierError("ERR_ARGUMENT", `ids[${i}]: expected a whole number, found ${describe(id)}`);
    if (id < 0 || id >= vocabSize)
      throw new EspalierError(
        "ERR_TOKEN_ID",
        `ids[${i}]: expected 0 <= id < ${vocabSize} (the vocabulary), found ${id}`,
      );
    result[i] = id;
  }
  return result;
}

function describe(value: unknown): string {
  return typeof value === "number" || value === null || value === undefined
    ? String(value)
    : `${typeof value} ${String(value).slice(0, 40)}`;
}
