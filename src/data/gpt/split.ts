// SPDX-License-Identifier: Apache-2.0
/**
 * "99,1,0": which documents belong to train, validation and test. Held-out documents are the last ones.
 */
import { EspalierError } from "../../errors.js";
import type { SplitName } from "../types.js";

export const splitNames: readonly SplitName[] = ["train", "validation", "test"];

/** [begin, end) of documents, as Megatron rounds them. */
export type SplitRanges = Record<SplitName, readonly [number, number]>;

/** One to three numbers that are not negative; they need not sum to 1 or 100. */
export function parseSplit(split: string): number[] {
  const parts = split.split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
  const sum = parts.reduce((total, part) => total + part, 0);
  if (parts.length > 3 || parts.some((part) => !(part >= 0)) || !(sum > 0 && Number.isFinite(sum)))
    throw new EspalierError(
      "ERR_ARGUMENT",
      `split: expected parts for train, validation and test as "99,1,0", found ${JSON.stringify(split)}`,
    );
  return splitNames.map((_, i) => (parts[i] ?? 0) / sum);
}

export function splitRanges(split: string, documents: number): SplitRanges {
  const [train, validation, test] = parseSplit(split) as [number, number, number];
  const edges = [0, train, train + validation, train + validation + test].map((edge) =>
    roundHalfEven(edge * documents),
  );
  const range = (i: number): readonly [number, number] => [edges[i]!, Math.max(edges[i]!, edges[i + 1]!)];
  return { train: range(0), validation: range(1), test: range(2) };
}

/** As Python's round. */
function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
