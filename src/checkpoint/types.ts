/**
 * What opening a model gives, whatever the files: a spec, named tensors, and the tokenizer's raw material.
 */
import type { MappedFile, TensorSource } from "../binding.js";
import type { ModelSpec } from "../model/spec.js";
import type { Activations } from "./quantized/index.js";

export type CheckpointFormat = "safetensors" | "gguf";

export interface CheckpointTensor extends TensorSource {
  /** Hugging Face name; the file's own when the family does not know the tensor. */
  name: string;
  /** Name inside the file. */
  sourceName: string;
  /** Path of the file. */
  file: string;
  mapped: MappedFile;
  /** As in Hugging Face: [rows, cols], or [n]. */
  shape: number[];
  /** Of a quantized weight: what its layer's inputs are rounded to; null: nothing. */
  activations?: Activations | null;
}

/** One value of GGUF metadata; 64-bit integers beyond 2^53 are bigint. */
export type GgufValue = number | bigint | boolean | string | (number | bigint | boolean | string)[];

export interface TokenizerFiles {
  /** Path of tokenizer.json, which may take a second to parse: do that off the event loop. */
  tokenizerJson?: string;
  /** Parsed tokenizer_config.json. */
  tokenizerConfig?: Record<string, unknown>;
  /** Parsed generation_config.json. */
  generationConfig?: Record<string, unknown>;
  /** chat_template.jinja, or a GGUF file's tokenizer.chat_template. */
  chatTemplate?: string;
  /** Paths of the other files of a tokenizer (merges.txt, special_tokens_map.json ...), which an export copies. */
  others?: string[];
  /** A GGUF file's tokenizer.* keys, full names. */
  gguf?: Record<string, GgufValue>;
}

/** A file of the checkpoint and how much of it is header, for fingerprints. */
export interface CheckpointFile {
  path: string;
  sizeBytes: number;
  headerBytes: number;
  mapped: MappedFile;
}

export interface Checkpoint extends AsyncDisposable {
  format: CheckpointFormat;
  path: string;
  spec: ModelSpec;
  /** config.json; made up from the metadata for GGUF, and loadable by transformers. */
  config: Record<string, unknown>;
  /** By Hugging Face name, in file order. */
  tensors: Map<string, CheckpointTensor>;
  tokenizerFiles: TokenizerFiles;
  files: CheckpointFile[];
  /** Closes the files; may be called twice. Reads under way finish. */
  close(): void;
}
