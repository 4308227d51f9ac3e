/** Token files as Megatron wrote them, see test/oracles/indexed_dataset.py. */
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DOCUMENT_END, IndexedDatasetWriter } from "../../../src/data/indexed-dataset/index.js";

export const dataFixtures = join(__dirname, "../../fixtures/data");

export interface ExpectedSplit {
  length: number;
  samples: Record<string, number[]>;
  positions: Record<string, number[]>;
  masked: Record<string, number[]>;
  sha256?: [string, string, string];
}

export interface DatasetCase {
  data: string | [number, string][];
  sequenceLength: number;
  split: string;
  seed: number;
  samples: (number | null)[];
  eod: number;
  splits: Record<"train" | "validation" | "test", ExpectedSplit | null>;
}

export interface Oracle {
  shuffles: { seed: number; size: number; head: number[]; sha256: string }[];
  pairs: Record<"int32" | "uint16", number[][][]>;
  datasets: DatasetCase[];
}

export const oracle = JSON.parse(readFileSync(join(dataFixtures, "gpt.json"), "utf8")) as Oracle;

/** Copies a pair, for tests that damage it or write beside it. */
export function copyPair(name: string, directory: string): string {
  for (const suffix of [".bin", ".idx"])
    copyFileSync(join(dataFixtures, name + suffix), join(directory, name + suffix));
  return join(directory, name);
}

/** Writes documents of sequences of token ids. */
export async function writePair(
  prefix: string,
  documents: readonly (readonly (readonly number[])[])[],
  dtype: "int32" | "uint16" = "int32",
): Promise<string> {
  const writer = await IndexedDatasetWriter.create(prefix, dtype);
  const tokens = documents.flat(2);
  const records = documents.flatMap((document) => [...document.map((sequence) => sequence.length), DOCUMENT_END]);
  await writer.append(dtype === "int32" ? Int32Array.from(tokens) : Uint16Array.from(tokens), Int32Array.from(records));
  await writer.finish();
  await writer.removeSpool();
  return prefix;
}
