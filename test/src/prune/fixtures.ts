/** Small models with random weights, scores for them, and pruning written out plainly. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fingerprintOf, openCheckpoint, readTensor, type Checkpoint } from "../../../src/checkpoint/index.js";
import { buildEngine, Engine } from "../../../src/engine/index.js";
import { expectedTensors } from "../../../src/model/families.js";
import { specFromConfig } from "../../../src/model/hf-config.js";
import type { ImportanceScores } from "../../../src/prune/index.js";
import { safetensorsBytes, tinyConfig, type Json } from "../../model-files.js";
import { random } from "../train/toy-trainer.js";

/** Two query heads a group, four layers, biases everywhere; head_dim is not hidden / heads. */
export const smallConfig: Json = {
  ...tinyConfig,
  hidden_size: 24,
  intermediate_size: 20,
  num_hidden_layers: 4,
  head_dim: 8,
  attention_bias: true,
  mlp_bias: true,
  tie_word_embeddings: false,
};

/** Changes values in place before they are written. */
export type Change = (values: Float32Array, tensor: ReturnType<typeof expectedTensors>[number]) => void;

export function writeModel(directory: string, config: Json = smallConfig, seed = 1, change: Change = () => {}): string {
  const draw = random(seed);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  const tensors = expectedTensors(specFromConfig(config, "test")).map((tensor) => {
    const count = tensor.shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, () => (draw() - 0.5) * 0.8);
    change(values, tensor);
    return { name: tensor.name, dtype: "F32", shape: tensor.shape, bytes: Buffer.from(values.buffer) };
  });
  writeFileSync(join(directory, "model.safetensors"), safetensorsBytes(tensors));
  return directory;
}

export async function scoresOf(path: string, seed = 7): Promise<ImportanceScores> {
  await using checkpoint = await openCheckpoint(path);
  const { spec } = checkpoint;
  const draw = random(seed);
  const vector = (size: number): Float32Array => Float32Array.from({ length: size }, draw);
  const everyLayer = (size: number): Float32Array[] => Array.from({ length: spec.numLayers }, () => vector(size));
  return {
    model: await fingerprintOf(checkpoint),
    hidden: vector(spec.hiddenSize),
    ffn: everyLayer(spec.intermediateSize),
    heads: everyLayer(spec.numHeads),
    kvGroups: everyLayer(spec.numKvHeads),
    layers: Float64Array.from(vector(spec.numLayers)),
    contiguous: Array.from({ length: spec.numLayers - 1 }, (_, i) => ({
      size: i + 1,
      lossWithout: Float64Array.from(vector(spec.numLayers - i)),
    })),
  };
}

/** Indices of the n highest scores, ascending. */
export function top(scores: ArrayLike<number>, n: number): number[] {
  const order = Array.from(scores, (score, i) => [score, i] as const).sort((a, b) => b[0] - a[0]);
  return order
    .slice(0, n)
    .map(([, i]) => i)
    .sort((a, b) => a - b);
}

export const headRows = (heads: readonly number[], headDim: number): number[] =>
  heads.flatMap((head) => Array.from({ length: headDim }, (_, i) => head * headDim + i));

export type Values = Map<string, { shape: number[]; values: number[] }>;

export async function valuesOf(checkpoint: Checkpoint): Promise<Values> {
  const out: Values = new Map();
  for (const { name } of expectedTensors(checkpoint.spec)) {
    const tensor = checkpoint.tensors.get(name)!;
    out.set(name, { shape: tensor.shape, values: Array.from(await readTensor(tensor)) });
  }
  return out;
}

export interface Kept {
  layers: number[];
  hidden: number[];
  /** By layer of the source. */
  ffn: number[][];
  heads: number[][];
  kvHeads: number[][];
}

/** Llama's tensors by name, as section 1.5 of the reference lists them: rows, columns. */
const table: Record<string, [keyof Kept | "all", keyof Kept | "none"]> = {
  embed_tokens: ["all", "hidden"],
  lm_head: ["all", "hidden"],
  norm: ["hidden", "none"],
  input_layernorm: ["hidden", "none"],
  post_attention_layernorm: ["hidden", "none"],
  q_proj: ["heads", "hidden"],
  k_proj: ["kvHeads", "hidden"],
  v_proj: ["kvHeads", "hidden"],
  o_proj: ["hidden", "heads"],
  gate_proj: ["ffn", "hidden"],
  up_proj: ["ffn", "hidden"],
  down_proj: ["hidden", "ffn"],
};

/** The pruned model's values, by the names it should have. */
export function slicedByHand(source: Values, kept: Kept, headDim: number): Values {
  const out: Values = new Map();
  for (const [name, { shape, values }] of source) {
    const [, number = null] = /layers\.(\d+)\./.exec(name) ?? [];
    const layer = number === null ? -1 : Number(number);
    if (number !== null && !kept.layers.includes(layer)) continue;
    const [, role = "", part] = /(\w+)\.(weight|bias)$/.exec(name) ?? [];
    const places = (axis: string, size: number): number[] => {
      if (axis === "hidden") return kept.hidden;
      if (axis === "ffn") return kept.ffn[layer]!;
      if (axis === "heads" || axis === "kvHeads") return headRows(kept[axis][layer]!, headDim);
      return Array.from({ length: size }, (_, i) => i);
    };
    const [rowAxis, colAxis] = table[role]!;
    const rows = places(rowAxis, shape[0]!);
    const isVector = part === "bias" || colAxis === "none";
    const cols = isVector ? [0] : places(colAxis, shape[1]!);
    const width = isVector ? 1 : shape[1]!;
    out.set(number === null ? name : name.replace(/layers\.\d+/, `layers.${kept.layers.indexOf(layer)}`), {
      shape: isVector ? [rows.length] : [rows.length, cols.length],
      values: rows.flatMap((row) => cols.map((col) => values[row * width + col]!)),
    });
  }
  return out;
}

let engines = 0;

/** Logits of every position. */
export async function logitsOf(model: string, ids: readonly number[]): Promise<number[]> {
  const engineDirectory = `${model}-engine${engines++}`;
  await buildEngine(model, engineDirectory, { weights: "f32" });
  await using engine = await Engine.load(engineDirectory);
  return (await engine.logits(ids, { all: true })).flatMap((row) => Array.from(row));
}
