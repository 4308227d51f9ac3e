/**
 * Reads test/fixtures/train/gradients.json and draws the weights its oracle drew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { binding, type MappedFile } from "../../../src/binding.js";
import { expectedTensors } from "../../../src/model/families.js";
import type { ModelSpec } from "../../../src/model/spec.js";
import type { NativeTrainer, TrainBatch, TrainerModel, TrainerTensor } from "../../../src/train/native-trainer.js";
import { expectWithin } from "../../compare.js";

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

/** What is zero in theory (one token has nothing to attend to) is so up to rounding. */
export function expectGradient(actual: Float32Array, expected: Float32Array, label: string): void {
  const key = expected.some((value) => Math.abs(value) > 1e-12) ? "train/gradient" : "train/zero-gradient";
  expectWithin(actual, expected, key, label);
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

/** As `draw` and `fill` of the oracles. A prefix gives other values for a tensor of the same name. */
export function drawWeight(name: string, count: number, prefix = ""): Float32Array {
  const out = new Float32Array(count);
  let state = crc32(prefix + name);
  for (let i = 0; i < count; ++i) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = (state >>> 8) / 2 ** 23 - 1;
    if (name.endsWith("norm.weight")) out[i] = 1 + 0.3 * value;
    else out[i] = (name.endsWith("bias") ? 0.3 : 0.5) * value;
  }
  return out;
}

/** A model whose weights stand in a file: those drawn under the prefix. */
export function modelInFile(spec: ModelSpec, prefix: string, path: string): { model: TrainerModel; file: MappedFile } {
  const expected = expectedTensors(spec);
  const values = expected.map(({ name, shape }) => drawWeight(name, sizeOf(shape), prefix));
  writeFileSync(path, Buffer.concat(values.map((array) => Buffer.from(array.buffer))));
  const file = new binding.MappedFile(path);
  let offset = 0;
  const tensors = expected.map(({ name, role, part, layer, shape }): TrainerTensor => {
    const [rows, cols] = shape.length === 1 ? [1, shape[0]!] : [shape[0]!, shape[1]!];
    const source = { offset, sizeBytes: 4 * rows * cols, type: "f32", rows, cols, permuteHeads: 0 };
    offset += source.sizeBytes;
    return { name, role, part, layer: layer ?? -1, file, source };
  });
  return { model: { spec, tensors }, file };
}

function sizeOf(shape: number[]): number {
  return shape.reduce((a, b) => a * b);
}

export async function drawWeights(trainer: NativeTrainer): Promise<void> {
  for (const { name, shape } of trainer.parameters)
    await trainer.write(name, "weight", drawWeight(name, sizeOf(shape)));
}
