/**
 * Generation options: defaults from the model's generation_config.json, checked, and turned into a native request.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { NativeRequest } from "../binding.js";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import type { ChatMessage } from "../tokenizer/index.js";
import type { Engine } from "./engine.js";
import { toTokenIds } from "./token-ids.js";

export interface SamplingOptions {
  /** 0 = greedy. */
  temperature?: number;
  /** 0 = off. */
  topK?: number;
  /** In (0, 1]; 1 = off. */
  topP?: number;
  /** In [0, 1); 0 = off. Keeps tokens at least this fraction as probable as the best. */
  minP?: number;
  /** > 0; 1 = off. */
  repetitionPenalty?: number;
}

export interface GenerateOptions extends SamplingOptions {
  /** Exactly one of prompt, messages and ids. A prompt is encoded as it stands, with the tokenizer's special tokens. */
  prompt?: string;
  /** Rendered with the model's chat template. */
  messages?: ChatMessage[];
  ids?: ArrayLike<number>;
  /** Default 256, or what the context has room for. */
  maxTokens?: number;
  /** Whole number from 0 to 2^53 - 1. Default: a different one each time. */
  seed?: number;
  /** Strings that end the generation; they are not part of the text. */
  stop?: string[];
  /** Do not end at the end-of-sequence token. */
  ignoreEos?: boolean;
  /** Report this many most probable tokens at each place. Default 0. */
  logprobs?: number;
  /** Reuse the cache of earlier prompts with the same beginning. Default true. */
  reusePrefix?: boolean;
  signal?: AbortSignal;
}

const DEFAULT_MAX_TOKENS = 256;

const LARGEST_INT32 = 2 ** 31 - 1;

const optionsSchema = z.object({
  temperature: z.number().min(0).max(100).default(0),
  topK: z
    .int()
    .min(0)
    .default(0)
    .transform((k) => Math.min(k, LARGEST_INT32)), // beyond every vocabulary: keeps all
  topP: z.number().gt(0).max(1).default(1),
  minP: z.number().min(0).lt(1).default(0),
  repetitionPenalty: z.number().gt(0).max(100).default(1),
  maxTokens: z.int().min(1).default(DEFAULT_MAX_TOKENS),
  seed: z.int().min(0).optional(),
  logprobs: z.int().min(0).max(100).default(0),
});

/** The options that are not numbers. ERR_ARGUMENT names the one that is wrong. */
export function checkGenerateOptions(options: unknown): void {
  const fail = (name: string, expected: string, found: unknown): never => {
    throw new EspalierError("ERR_ARGUMENT", `${name}: expected ${expected}, found ${String(found)}`);
  };
  if (!isRecord(options)) return fail("options", "an object", options);
  const { prompt, signal, stop } = options;
  if (prompt !== undefined && typeof prompt !== "string") fail("prompt", "a string", prompt);
  if (stop !== undefined && !(Array.isArray(stop) && stop.every((text) => typeof text === "string")))
    fail("stop", "a list of strings", stop);
  if (signal !== undefined && typeof (signal as { addEventListener?: unknown } | null)?.addEventListener !== "function")
    fail("signal", "an AbortSignal", signal);
}

/** Sampling defaults of generation_config.json; greedy when it is absent or says do_sample: false. */
export async function readGenerationDefaults(directory: string): Promise<SamplingOptions> {
  const path = join(directory, "generation_config.json");
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return {};
  }
  const schema = z.looseObject({
    do_sample: z.boolean().nullish(),
    temperature: z.number().nullish(),
    top_k: z.int().nullish(),
    top_p: z.number().nullish(),
    min_p: z.number().nullish(),
    repetition_penalty: z.number().nullish(),
  });
  const parsed = schema.safeParse(parseJson(text));
  if (!parsed.success)
    throw new EspalierError(
      "ERR_ENGINE_FORMAT",
      `${path}: ${parsed.error.issues[0]?.path.join(".") ?? ""}: ${parsed.error.issues[0]?.message ?? "not an object"}`,
    );
  const config = parsed.data;
  const penalty = config.repetition_penalty ?? 1;
  if (config.do_sample !== true) return checked({ repetitionPenalty: penalty }, path);
  const sampling = {
    temperature: config.temperature ?? 1,
    topK: Math.max(0, config.top_k ?? 50), // 50: transformers' default when sampling; some files say -1 for off
    topP: config.top_p ?? 1,
    minP: config.min_p ?? 0,
    repetitionPenalty: penalty,
  };
  return checked(sampling, path);
}

function checked(defaults: SamplingOptions, path: string): SamplingOptions {
  const issue = optionsSchema.safeParse(defaults).error?.issues[0];
  if (issue === undefined) return defaults;
  const name = issue.path.join(".") as keyof SamplingOptions;
  throw new EspalierError("ERR_ENGINE_FORMAT", `${path}: ${name}: ${issue.message}, found ${String(defaults[name])}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Checks the options and encodes the prompt. ERR_ARGUMENT, ERR_EMPTY_PROMPT, ERR_TOKENIZER_MISSING. */
export async function resolveGeneration(
  engine: Engine,
  defaults: SamplingOptions,
  options: GenerateOptions,
): Promise<Omit<NativeRequest, "id" | "kind">> {
  const merged = optionsSchema.safeParse({ ...defaults, ...withoutUndefined(options) });
  if (!merged.success) {
    const issue = merged.error.issues[0];
    const name = issue?.path.join(".") ?? "options";
    const found = (options as Record<string, unknown>)[name];
    throw new EspalierError("ERR_ARGUMENT", `${name}: ${issue?.message ?? "invalid"}, found ${String(found)}`);
  }
  const { logprobs, ...values } = merged.data;
  return {
    ...values,
    seed: values.seed ?? Math.floor(Math.random() * 2 ** 48),
    topLogprobs: logprobs,
    prompt: await encodePrompt(engine, options),
    stopIds: options.ignoreEos === true ? new Int32Array(0) : Int32Array.from(engine.spec.eosTokenIds),
    reusePrefix: options.reusePrefix !== false,
  };
}

function withoutUndefined(options: GenerateOptions): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

async function encodePrompt(engine: Engine, options: GenerateOptions): Promise<Int32Array> {
  const given = [options.prompt, options.messages, options.ids].filter((value) => value !== undefined);
  if (given.length !== 1)
    throw new EspalierError(
      "ERR_ARGUMENT",
      `prompt, messages, ids: expected exactly one of them, found ${given.length}`,
    );
  if (options.ids !== undefined) return toTokenIds(options.ids, engine.spec.vocabSize).slice();
  const { tokenizer } = engine;
  if (tokenizer === null)
    throw new EspalierError("ERR_TOKENIZER_MISSING", `${engine.directory} has no tokenizer: give the prompt as ids`);
  if (options.messages !== undefined) return tokenizer.encodeChat(options.messages, { addGenerationPrompt: true });
  if (options.prompt === "")
    throw new EspalierError("ERR_EMPTY_PROMPT", "prompt: expected some text, found an empty string");
  return tokenizer.encode(options.prompt as string, { addSpecialTokens: true });
}
