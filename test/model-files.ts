/** Small safetensors and GGUF files for tests, byte by byte, so that each field can be made to lie. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectedTensors } from "../src/model/families.js";
import { specFromConfig } from "../src/model/hf-config.js";

export type Json = Record<string, unknown>;

/** A tiny Llama's config.json, transformers 4 style. */
export const tinyConfig: Json = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 32,
  hidden_size: 32,
  intermediate_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
};

export interface TensorBytes {
  name: string;
  dtype: string;
  shape: number[];
  bytes: Buffer;
}

/** Every tensor of the model in f32, a different ramp each. */
export function tinyTensors(config: Json = tinyConfig, spelling: "name" | "ggufName" = "name"): TensorBytes[] {
  return expectedTensors(specFromConfig(config, "test")).map((tensor, i) => {
    const count = tensor.shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, (_, j) => i + j / 1024);
    return { name: tensor[spelling], dtype: "F32", shape: tensor.shape, bytes: Buffer.from(values.buffer) };
  });
}

export function safetensorsHeader(tensors: readonly TensorBytes[]): Json {
  let offset = 0;
  const header: Json = { __metadata__: { format: "pt" } };
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  return header;
}

/** `header` replaces the true one: an object, or text that need not be JSON. */
export function safetensorsBytes(tensors: readonly TensorBytes[], header?: Json | string): Buffer {
  const text = typeof header === "string" ? header : JSON.stringify(header ?? safetensorsHeader(tensors));
  const json = Buffer.from(text);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...tensors.map((tensor) => tensor.bytes)]);
}

export function writeTinyDirectory(directory: string, config: Json = tinyConfig): string {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  writeFileSync(join(directory, "model.safetensors"), safetensorsBytes(tinyTensors(config)));
  return directory;
}

export const u32 = (value: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
};

export const u64 = (value: number | bigint): Buffer => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
};

export const text = (value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([u64(bytes.length), bytes]);
};

const f32 = (value: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return out;
};

/** [key, type, value bytes] */
export type Entry = [key: string, type: number, value: Buffer];

export const entry = {
  u32: (key: string, value: number): Entry => [key, 4, u32(value)],
  f32: (key: string, value: number): Entry => [key, 6, f32(value)],
  string: (key: string, value: string): Entry => [key, 8, text(value)],
  strings: (key: string, values: string[]): Entry => [
    key,
    9,
    Buffer.concat([u32(8), u64(values.length), ...values.map(text)]),
  ],
};

export const tinyEntries: readonly Entry[] = [
  entry.string("general.architecture", "llama"),
  entry.u32("llama.context_length", 64),
  entry.u32("llama.embedding_length", 32),
  entry.u32("llama.block_count", 1),
  entry.u32("llama.feed_forward_length", 32),
  entry.u32("llama.attention.head_count", 4),
  entry.u32("llama.attention.head_count_kv", 2),
  entry.f32("llama.attention.layer_norm_rms_epsilon", 1e-5),
  entry.u32("llama.rope.dimension_count", 8),
  entry.u32("llama.vocab_size", 32),
  entry.strings(
    "tokenizer.ggml.tokens",
    Array.from({ length: 32 }, (_, i) => `token${i}`),
  ),
];

export interface GgufTensorBytes {
  name: string;
  /** ggml's dimension order: contiguous first. */
  dims: (number | bigint)[];
  type: number;
  bytes: Buffer;
  /** Instead of the true offset. */
  offset?: number | bigint;
}

export function tinyGgufTensors(config: Json = tinyConfig): GgufTensorBytes[] {
  return tinyTensors(config, "ggufName").map(({ name, shape, bytes }) => ({
    name,
    dims: [...shape].reverse(),
    type: 0,
    bytes,
  }));
}

export interface GgufParts {
  magic?: string;
  version?: Buffer;
  entries?: readonly Entry[];
  tensors?: readonly GgufTensorBytes[];
  entryCount?: number | bigint;
  tensorCount?: number | bigint;
  alignment?: number;
}

/** Whole file; counts and offsets are true unless given. */
export function ggufBytes(parts: GgufParts = {}): Buffer {
  const { entries = tinyEntries, tensors = tinyGgufTensors(), alignment = 32 } = parts;
  const padded = (bytes: Buffer): Buffer =>
    Buffer.concat([bytes, Buffer.alloc((alignment - (bytes.length % alignment)) % alignment)]);
  const infos: Buffer[] = [];
  const data: Buffer[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    infos.push(text(tensor.name), u32(tensor.dims.length), ...tensor.dims.map(u64), u32(tensor.type));
    infos.push(u64(tensor.offset ?? offset));
    const bytes = padded(tensor.bytes);
    data.push(bytes);
    offset += bytes.length;
  }
  const head = [
    Buffer.from(parts.magic ?? "GGUF"),
    parts.version ?? u32(3),
    u64(parts.tensorCount ?? tensors.length),
    u64(parts.entryCount ?? entries.length),
    ...entries.flatMap(([key, type, value]) => [text(key), u32(type), value]),
    ...infos,
  ];
  return Buffer.concat([padded(Buffer.concat(head)), ...data]);
}

/** An error with that code whose message has all the given parts. */
export function coded(code: string, ...parts: string[]): Error {
  const message = new RegExp(parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("[^]*"));
  return expect.objectContaining({ name: "EspalierError", code, message: expect.stringMatching(message) }) as Error;
}
