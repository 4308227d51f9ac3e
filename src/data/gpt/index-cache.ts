// SPDX-License-Identifier: Apache-2.0
/**
 * Indices on disk, in Megatron's files: HASH-GPTDataset-SPLIT-{description.txt, document_index.npy, ...}. A cache that
 * is damaged or cannot be written is as good as none.
 */
import { createHash } from "node:crypto";
import { access, constants, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SplitName } from "../types.js";
import type { GptIndices, IndexRequest } from "./indices.js";
import { readNpy, writeNpy } from "./npy.js";

export interface CacheKey {
  directory: string;
  split: SplitName;
  /** Of the .idx: "sha256:...". */
  data: string;
  request: IndexRequest;
}

const SPLIT_NAMES = { train: "train", validation: "valid", test: "test" } as const;

function descriptionOf({ split, data, request }: CacheKey): string {
  const { firstDocument, lengths, sequenceLength, seed, samples } = request;
  const documents = [firstDocument, firstDocument + lengths.length];
  return `${JSON.stringify({ class: "GPTDataset", split, data, documents, sequenceLength, seed, samples }, null, 4)}\n`;
}

function pathsOf(key: CacheKey): (name: string) => string {
  const hash = createHash("sha256").update(descriptionOf(key)).digest("hex").slice(0, 32);
  return (name) => join(key.directory, `${hash}-GPTDataset-${SPLIT_NAMES[key.split]}-${name}`);
}

/** null when there are none that fit. */
export async function readCachedIndices(key: CacheKey): Promise<GptIndices | null> {
  const path = pathsOf(key);
  if ((await readFile(path("description.txt"), "utf8").catch(() => "")) !== descriptionOf(key)) return null;
  const documentIndex = await readNpy(path("document_index.npy"), "<i4");
  const sampleIndex = await readNpy(path("sample_index.npy"), "<i4");
  const shuffleIndex = await readNpy(path("shuffle_index.npy"), "<u4");
  if (documentIndex === null || sampleIndex === null || shuffleIndex === null) return null;
  const indices = { documentIndex, sampleIndex, shuffleIndex } as GptIndices;
  return agree(indices, key.request) ? indices : null;
}

/** Every place they point to is there. */
function agree({ documentIndex, sampleIndex, shuffleIndex }: GptIndices, request: IndexRequest): boolean {
  const { firstDocument: first, lengths } = request;
  const samples = shuffleIndex.length;
  if (sampleIndex.length !== 2 * (samples + 1)) return false;
  const known = (document: number): boolean => document >= first && document < first + lengths.length;
  if (!documentIndex.every(known) || !shuffleIndex.every((sample) => sample < samples)) return false;
  for (let i = 0, before = 0; i < sampleIndex.length; i += 2) {
    const [position, offset] = [sampleIndex[i]!, sampleIndex[i + 1]!];
    if (position < before || position >= documentIndex.length || offset < 0) return false;
    if (offset > lengths[documentIndex[position]! - first]!) return false;
    before = position;
  }
  return true;
}

export async function writeCachedIndices(key: CacheKey, indices: GptIndices): Promise<void> {
  const path = pathsOf(key);
  try {
    await mkdir(key.directory, { recursive: true });
    await access(key.directory, constants.W_OK);
    await writeNpy(path("document_index.npy"), indices.documentIndex);
    await writeNpy(path("sample_index.npy"), indices.sampleIndex, 2);
    await writeNpy(path("shuffle_index.npy"), indices.shuffleIndex);
    await writeFile(path("description.txt"), descriptionOf(key)); // last: it says that the others are whole
  } catch {
    // A read-only or full disk costs the next run some seconds, no more.
  }
}
