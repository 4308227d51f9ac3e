/**
 * Verbs that run a model take an engine directory or a model; a model is built once and kept in the cache.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import {
  buildEngine,
  Engine,
  kvDtypes,
  kvScales,
  readEngineManifest,
  type EngineLoadOptions,
  type KvDtype,
  type KvScale,
} from "../engine/index.js";
import { EspalierError } from "../errors.js";
import { version } from "../version.js";
import { cachedEnginesDirectory, engineCacheLimit, markUsed, trimEngineCache } from "./engine-cache.js";
import { positiveNumber } from "./options.js";
import type { CommandContext } from "./run-command.js";

export interface EngineCliOptions {
  weights?: string;
  context?: number;
  kvTokens?: number;
  kvDtype?: KvDtype;
  kvScale?: KvScale;
  threads?: number;
  isa?: NonNullable<EngineLoadOptions["isa"]>;
  verify?: boolean;
}

/** Adds the options that `openEngine` reads. */
export function addEngineOptions(command: Command): Command {
  return addKernelOptions(command)
    .option("--context <tokens>", "prompt and generated tokens of one sequence", positiveNumber)
    .option(
      "--kv-scale <what>",
      `what shares a scale of int8 and fp8: ${kvScales.join(", ")} (default: the engine's, or token)`,
    )
    .option("--kv-tokens <tokens>", "tokens the cache holds, all sequences together", positiveNumber)
    .option("--verify", "compare the sha256 of every weight before use");
}

/** Those of them that a bench, which sizes the context itself, has too. */
export function addKernelOptions(command: Command): Command {
  return command
    .option(
      "--weights <format>",
      "weight format when MODEL is not an engine yet: f32, f16, bf16, int8, int8-w8a8 (default: f32)",
    )
    .option("--kv-dtype <dtype>", `storage of keys and values: ${kvDtypes.join(", ")} (default: the engine's, or f32)`)
    .option("--threads <n>", "threads (default: physical cores, or ESPALIER_THREADS)", positiveNumber)
    .option("--isa <level>", "force ref, avx2, avx512 or avx512_bf16", "auto");
}

/** Options of the command line as Engine.load takes them. */
export function loadOptions(options: EngineCliOptions, signal: AbortSignal): EngineLoadOptions {
  return {
    signal,
    ...(options.context === undefined ? {} : { contextTokens: options.context }),
    ...(options.kvTokens === undefined ? {} : { kvTokens: options.kvTokens }),
    ...(options.kvDtype === undefined ? {} : { kvDtype: options.kvDtype }),
    ...(options.kvScale === undefined ? {} : { kvScale: options.kvScale }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(options.isa === undefined ? {} : { isa: options.isa }),
    ...(options.verify === undefined ? {} : { verify: options.verify }),
  };
}

/** The engine directory for `path`: itself, or one built from the model and kept in the cache. */
export async function engineDirectory(
  path: string,
  options: EngineCliOptions,
  context: CommandContext,
): Promise<string> {
  if (existsSync(join(path, "engine.json"))) {
    if (options.weights === undefined) return path;
    throw new EspalierError(
      "ERR_ARGUMENT",
      `--weights: expected none with an engine, whose weights are packed already; found "${options.weights}" and ${path}`,
    );
  }
  if (!existsSync(path))
    throw new EspalierError(
      "ERR_MODEL_NOT_FOUND",
      `${path}: expected an engine directory, a model directory or a GGUF file, found nothing`,
    );
  const format = options.weights ?? "f32";
  // Quantized models keep their codes whatever the format of floats.
  const what = options.weights === undefined ? "building engine" : `building ${format} engine`;
  const directory = join(cachedEnginesDirectory(), `${await fingerprint(path)}-${format}`);
  const limit = engineCacheLimit();
  if (await isUsable(directory)) {
    await markUsed(directory);
    return directory;
  }
  try {
    await buildEngine(path, directory, {
      weights: format,
      signal: context.signal,
      onProgress: ({ done, total }) => context.progress.update(what, done, total),
    });
  } catch (error) {
    // Another process may have built the same engine meanwhile.
    if (!existsSync(join(directory, "engine.json"))) throw error;
  }
  await trimEngineCache(directory, limit);
  return directory;
}

/** An engine in the cache that this version no longer reads is removed: nobody asked for it by name. */
async function isUsable(directory: string): Promise<boolean> {
  if (!existsSync(directory)) return false;
  try {
    await readEngineManifest(directory);
    return true;
  } catch {
    await rm(directory, { recursive: true, force: true });
    return false;
  }
}

export async function openEngine(path: string, options: EngineCliOptions, context: CommandContext): Promise<Engine> {
  const directory = await engineDirectory(path, options, context);
  return Engine.load(directory, loadOptions(options, context.signal));
}

/** Names a model by path, file sizes and times: a changed model gets another engine. */
async function fingerprint(path: string): Promise<string> {
  const hash = createHash("sha256").update(version).update(resolve(path));
  const info = await stat(path);
  const files = info.isDirectory() ? (await readdir(path)).sort().map((name) => join(path, name)) : [path];
  for (const file of files) {
    const { size, mtimeMs } = await stat(file);
    hash.update(`${file}\0${size}\0${mtimeMs}\0`);
  }
  return hash.digest("hex").slice(0, 24);
}
