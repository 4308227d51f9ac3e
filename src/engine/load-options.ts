/**
 * Load options: checked, completed, and turned into what the native engine takes.
 */
import { usableMemoryBytes } from "../memory.js";
import { join } from "node:path";
import type { IsaName, NativeEngineConfig } from "../binding.js";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import type { ModelSpec } from "../model/spec.js";
import type { EngineManifest } from "./engine-directory.js";
import { kvBytesPerToken, resolveKvCache, type KvDtype, type KvScale } from "./kv-cache.js";

export interface EngineLoadOptions {
  /** Prompt and generated tokens of one sequence. Default: the model's, at most 4096. */
  contextTokens?: number;
  /** Tokens of all sequences and the prefix cache together. Default: 4 × contextTokens. */
  kvTokens?: number;
  /** Storage of keys and values. Default: what the engine directory says, or f32. */
  kvDtype?: KvDtype;
  /** What shares a scale of int8 and fp8 keys or values. Default: what the engine directory says, or token. */
  kvScale?: KvScale;
  /** Sequences worked on together; more wait. Default 8. */
  maxSequences?: number;
  /** Prompt tokens of one step. Default 512. */
  prefillChunk?: number;
  /** Default: ESPALIER_THREADS or the physical cores. */
  threads?: number;
  /** Forces an instruction set. Default: the best this CPU runs, or ESPALIER_ISA. */
  isa?: IsaName | "auto";
  /** Leave layers [begin, end) out, counted from 0: the engine of the model pruned by them. Default: none. */
  skipLayers?: readonly [begin: number, end: number];
  /** Compare every weight's sha256 before use. Default false. */
  verify?: boolean;
  signal?: AbortSignal;
}

const DEFAULT_CONTEXT_TOKENS = 4096;
const sizes = ["contextTokens", "kvTokens", "maxSequences", "prefillChunk"] as const;

/** Checks what needs no engine to be looked at. ERR_ARGUMENT names the option. */
export function checkLoadArguments(directory: unknown, options: unknown): void {
  if (typeof directory !== "string")
    throw new EspalierError("ERR_ARGUMENT", `directory: expected a path, found ${String(directory)}`);
  if (!isRecord(options))
    throw new EspalierError("ERR_ARGUMENT", `options: expected an object, found ${String(options)}`);
  for (const name of sizes) {
    const value = options[name];
    if (value !== undefined && !(Number.isSafeInteger(value) && (value as number) >= 1))
      throw new EspalierError("ERR_ARGUMENT", `${name}: expected a whole number, at least 1, found ${String(value)}`);
  }
}

/** The native engine's configuration. ERR_CONTEXT_LENGTH, ERR_ENGINE_MEMORY. */
export function nativeConfig(
  directory: string,
  manifest: EngineManifest,
  options: EngineLoadOptions,
): NativeEngineConfig {
  const contextTokens = resolveContext(manifest.spec, options.contextTokens);
  const config: NativeEngineConfig = {
    weightsPath: join(directory, manifest.weights.file),
    spec: manifest.spec,
    tensors: manifest.tensors,
    rotated: manifest.rotated,
    contextTokens,
    kvTokens: options.kvTokens ?? 4 * contextTokens,
    ...resolveKvCache(manifest, options),
    maxSequences: options.maxSequences ?? 8,
    prefillChunk: options.prefillChunk ?? 512,
    threads: options.threads ?? 0,
    isa: options.isa ?? "auto",
  };
  checkMemory(directory, manifest, config);
  return config;
}

function resolveContext(spec: ModelSpec, wanted: number | undefined): number {
  if (wanted === undefined) return Math.min(spec.maxPositions, DEFAULT_CONTEXT_TOKENS);
  const stretches = spec.rope.type === "dynamic";
  if (wanted > spec.maxPositions && !stretches)
    throw new EspalierError(
      "ERR_CONTEXT_LENGTH",
      `contextTokens: expected at most ${spec.maxPositions} (the model's), found ${wanted}`,
    );
  return wanted;
}

/** Refuses what cannot fit: weights and a full cache beyond the machine's memory. */
function checkMemory(directory: string, manifest: EngineManifest, config: NativeEngineConfig): void {
  const tokens = Math.max(config.kvTokens, config.contextTokens);
  const kvBytes = kvBytesPerToken(manifest.spec, config.kvDtype) * tokens;
  const needed = manifest.weights.sizeBytes + kvBytes;
  const usable = usableMemoryBytes();
  if (needed <= usable) return;
  const mb = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  throw new EspalierError(
    "ERR_ENGINE_MEMORY",
    `${directory}: expected at most ${mb(usable)} (the memory this process may use), found ${mb(needed)}: ` +
      `${mb(manifest.weights.sizeBytes)} of weights and ${mb(kvBytes)} of keys and values for ${tokens} tokens`,
  );
}
