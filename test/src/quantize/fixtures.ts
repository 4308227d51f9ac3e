/** A small model to quantize, and what a directory of weights holds. */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readSafetensorsHeader } from "../../../src/checkpoint/safetensors.js";
import { tinyConfig, type Json } from "../../model-files.js";

/** Every default group size divides its rows; biases stay as they are. */
export const quantizableConfig: Json = {
  ...tinyConfig,
  vocab_size: 48,
  hidden_size: 128,
  intermediate_size: 256,
  num_hidden_layers: 2,
  attention_bias: true,
  tie_word_embeddings: false,
};

export interface StoredTensor {
  type: string;
  shape: number[];
  offset: number;
  bytes: Buffer;
}

/** Tensors of all safetensors files of a directory, by name. */
export async function storedTensors(directory: string): Promise<Map<string, StoredTensor>> {
  const found = new Map<string, StoredTensor>();
  for (const file of readdirSync(directory).filter((name) => name.endsWith(".safetensors"))) {
    const path = join(directory, file);
    const bytes = readFileSync(path);
    for (const { name, type, shape, offset, sizeBytes } of (await readSafetensorsHeader(path)).tensors)
      found.set(name, { type, shape, offset, bytes: bytes.subarray(offset, offset + sizeBytes) });
  }
  return found;
}

/** File to sha256. */
export function hashesOf(directory: string): Record<string, string> {
  const hash = (name: string): string =>
    createHash("sha256")
      .update(readFileSync(join(directory, name)))
      .digest("hex");
  return Object.fromEntries(
    readdirSync(directory)
      .sort()
      .map((name) => [name, hash(name)]),
  );
}

export const readJson = (...path: string[]): Json => JSON.parse(readFileSync(join(...path), "utf8")) as Json;
