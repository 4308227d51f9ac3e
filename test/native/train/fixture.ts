/**
 * Reads test/fixtures/train/gradients.json and draws the weights its oracle drew.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { NativeTrainer, TrainBatch } from "../../../src/train/native-trainer.js";

export interface GradientCase {
  config: Record<string, unknown>;
  batch: TrainBatch;
  loss: number;
  gradients: Map<string, Float32Array>;
}

interface StoredCase {
  config: Record<string, unknown>;
  sequences: number;
  length: number;
  tokens: number[];
  labels: number[];
  documentStarts?: number[];
  loss: number;
  gradients: Record<string, string>;
}

export function floatsOf(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, "base64")).buffer);
}

export function fixtureOf<T>(file: string): T {
  return JSON.parse(readFileSync(join(__dirname, "../../fixtures/train", file), "utf8")) as T;
}

export function gradientCases(): [string, GradientCase][] {
  const { models } = fixtureOf<{ models: Record<string, StoredCase> }>("gradients.json");
  return Object.entries(models).map(([name, stored]) => {
    const { sequences, length, tokens, labels, documentStarts } = stored;
    const batch: TrainBatch = { sequences, length, tokens: Int32Array.from(tokens), labels: Int32Array.from(labels) };
    if (documentStarts !== undefined) batch.documentStarts = Int32Array.from(documentStarts);
    const gradients = new Map(Object.entries(stored.gradients).map(([tensor, text]) => [tensor, floatsOf(text)]));
    return [name, { config: stored.config, batch, loss: stored.loss, gradients }];
  });
}

/** As `draw` and `fill` of the oracles. */
export function drawWeight(name: string, count: number): Float32Array {
  const out = new Float32Array(count);
  let state = crc32(name);
  for (let i = 0; i < count; ++i) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = (state >>> 8) / 2 ** 23 - 1;
    if (name.endsWith("norm.weight")) out[i] = 1 + 0.3 * value;
    else out[i] = (name.endsWith("bias") ? 0.3 : 0.5) * value;
  }
  return out;
}

export async function drawWeights(trainer: NativeTrainer): Promise<void> {
  for (const { name, shape } of trainer.parameters)
    await trainer.write(
      name,
      "weight",
      drawWeight(
        name,
        shape.reduce((a, b) => a * b),
      ),
    );
}
