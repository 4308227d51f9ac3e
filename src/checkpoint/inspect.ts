/**
 * inspectModel: what a model file holds, without reading its weights.
 */
import { basename } from "node:path";
import { EspalierError, type ErrorCode } from "../errors.js";
import { parameterCount } from "../model/families.js";
import type { ModelSpec } from "../model/spec.js";
import { checkTensors } from "./check.js";
import { fingerprintOf } from "./fingerprint.js";
import { openCheckpoint } from "./open.js";
import type { Checkpoint, CheckpointFormat } from "./types.js";

export interface DtypeSummary {
  /** "f32", "q4_1", ... */
  dtype: string;
  tensors: number;
  parameters: number;
  bytes: number;
}

export interface TokenizerSummary {
  /** "tokenizer.json", "gguf", or null when there is none. */
  source: "tokenizer.json" | "gguf" | null;
  /** "gpt2" or "llama" in GGUF; the tokenizer_class of tokenizer_config.json. */
  model: string | null;
  /** tokenizer.ggml.pre */
  preTokenizer: string | null;
  /** Tokens in a GGUF file. */
  tokens: number | null;
  chatTemplate: boolean;
}

export interface ModelSummary {
  path: string;
  format: CheckpointFormat;
  family: string;
  /** Weights counted once, tied ones too. */
  parameters: number;
  bytes: number;
  dtypes: DtypeSummary[];
  tensorCount: number;
  spec: ModelSpec;
  tokenizer: TokenizerSummary;
  files: { name: string; bytes: number }[];
  fingerprint: string;
  /** Why the weights cannot be used, or null. */
  problem: { code: ErrorCode; message: string } | null;
}

/**
 * Opens a model and says what is in it. Weights that cannot be used (a type that is not read, a missing tensor) are
 * reported as `problem`; a file that cannot be read at all throws.
 *
 * @example const { family, parameters, dtypes } = await inspectModel("model.gguf")
 */
export async function inspectModel(path: string): Promise<ModelSummary> {
  await using checkpoint = await openCheckpoint(path);
  const dtypes = dtypesOf(checkpoint);
  return {
    path,
    format: checkpoint.format,
    family: checkpoint.spec.family,
    parameters: parameterCount(checkpoint.spec),
    bytes: dtypes.reduce((sum, row) => sum + row.bytes, 0),
    dtypes,
    tensorCount: dtypes.reduce((sum, row) => sum + row.tensors, 0),
    spec: checkpoint.spec,
    tokenizer: tokenizerOf(checkpoint),
    files: checkpoint.files.map((file) => ({ name: basename(file.path), bytes: file.sizeBytes })),
    fingerprint: await fingerprintOf(checkpoint),
    problem: problemOf(checkpoint),
  };
}

/** Stored tensors by type, most bytes first; one stored under two names counts once. */
function dtypesOf(checkpoint: Checkpoint): DtypeSummary[] {
  const rows = new Map<string, DtypeSummary>();
  const seen = new Set<string>();
  for (const tensor of checkpoint.tensors.values()) {
    const place = `${tensor.file}:${tensor.sourceName}`;
    if (seen.has(place)) continue;
    seen.add(place);
    const row = rows.get(tensor.type) ?? { dtype: tensor.type, tensors: 0, parameters: 0, bytes: 0 };
    row.tensors += 1;
    row.parameters += tensor.rows * tensor.cols;
    row.bytes += tensor.sizeBytes;
    rows.set(tensor.type, row);
  }
  return [...rows.values()].sort((a, b) => b.bytes - a.bytes);
}

function tokenizerOf({ tokenizerFiles }: Checkpoint): TokenizerSummary {
  const { gguf, tokenizerConfig, tokenizerJson, chatTemplate } = tokenizerFiles;
  const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
  const tokens = gguf?.["tokenizer.ggml.tokens"];
  return {
    source: tokens !== undefined ? "gguf" : tokenizerJson !== undefined ? "tokenizer.json" : null,
    model: text(gguf?.["tokenizer.ggml.model"]) ?? text(tokenizerConfig?.["tokenizer_class"]),
    preTokenizer: text(gguf?.["tokenizer.ggml.pre"]),
    tokens: Array.isArray(tokens) ? tokens.length : null,
    chatTemplate: chatTemplate !== undefined || tokenizerConfig?.["chat_template"] !== undefined,
  };
}

function problemOf(checkpoint: Checkpoint): ModelSummary["problem"] {
  try {
    checkTensors(checkpoint);
    return null;
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return { code: error.code, message: error.message };
  }
}
