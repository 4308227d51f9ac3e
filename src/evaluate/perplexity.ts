/**
 * Perplexity of an engine on a text.
 */
import { throwIfAborted } from "../abort.js";
import { EspalierError } from "../errors.js";
import { readText } from "../files/read-text.js";
import { cutWindows, type Window } from "./windows.js";

export interface PerplexityOptions {
  /** Exactly one of text, file and ids. */
  text?: string;
  /** A UTF-8 text file. */
  file?: string;
  ids?: ArrayLike<number>;
  /** Tokens of a window. Default 512. */
  window?: number;
  /** Tokens from one window's start to the next one's. Default: the window, so that windows do not overlap. */
  stride?: number;
  /** Only the first so many tokens of the text. */
  maxTokens?: number;
  signal?: AbortSignal;
  onProgress?: (progress: PerplexityProgress) => void;
}

export interface PerplexityProgress {
  /** Windows. */
  done: number;
  total: number;
  /** Of the windows so far. */
  perplexity: number;
}

export interface PerplexityReport {
  perplexity: number;
  /** Mean negative log-likelihood of a predicted token, in nats. */
  nll: number;
  /** nll / ln 2 times the tokens a byte of the (UTF-8) text takes; comparable between tokenizers. null: ids were given. */
  bitsPerByte: number | null;
  /** Predicted tokens. */
  tokens: number;
  windows: number;
  window: number;
  stride: number;
}

/** What it takes to be measured; `Engine` is one. */
export interface ScoringEngine {
  readonly directory: string;
  readonly contextTokens: number;
  readonly tokenizer: {
    encode(text: string, options: { addSpecialTokens: boolean }): ArrayLike<number> | Promise<ArrayLike<number>>;
  } | null;
  score(ids: ArrayLike<number>, options?: { signal?: AbortSignal }): Promise<ArrayLike<number>>;
}

/** So many tokens are handed to the engine at a time: enough to fill its steps, whatever the window. */
const TOKENS_IN_FLIGHT = 2048;

/**
 * exp(mean negative log-likelihood) of all predicted tokens, each weighing the same.
 *
 * The text is encoded once, with the special tokens that the tokenizer adds by itself and no others: a tokenizer that
 * adds a beginning-of-sequence token puts one before the text, and windows get none of their own. Tokens 1 .. window-1
 * of each window are predicted from those before them in the window; an incomplete window at the end is dropped. With
 * stride < window a token counts once, in the first window that has it (see `cutWindows`).
 * @example
 * const { perplexity } = await evaluatePerplexity(engine, { file: "wiki.test.txt", window: 512, maxTokens: 20000 });
 */
export async function evaluatePerplexity(engine: ScoringEngine, options: PerplexityOptions): Promise<PerplexityReport> {
  const window = options.window ?? 512;
  const stride = options.stride ?? window;
  if (window > engine.contextTokens)
    throw new EspalierError(
      "ERR_CONTEXT_LENGTH",
      `window: expected at most ${engine.contextTokens} (the context of ${engine.directory}), found ${window}`,
    );
  const { ids, tokensPerByte } = await tokensOf(engine, options);
  const windows = cutWindows(ids.length, window, stride);
  const { sum, tokens } = await sumWindows(engine, ids, windows, options);
  const nll = sum / tokens;
  if (!Number.isFinite(nll))
    throw new EspalierError("ERR_NUMERIC", `${engine.directory}: mean NLL: expected a finite number, found ${nll}`);
  const bitsPerByte = tokensPerByte === null ? null : (nll / Math.LN2) * tokensPerByte;
  return { perplexity: Math.exp(nll), nll, bitsPerByte, tokens, windows: windows.length, window, stride };
}

interface Tokens {
  ids: Int32Array;
  /** Of the whole text. */
  tokensPerByte: number | null;
}

async function tokensOf(engine: ScoringEngine, options: PerplexityOptions): Promise<Tokens> {
  const given = [options.text, options.file, options.ids].filter((value) => value !== undefined);
  if (given.length !== 1)
    throw new EspalierError("ERR_ARGUMENT", `text, file, ids: expected exactly one of them, found ${given.length}`);
  const text = options.ids === undefined ? (options.text ?? (await readText(options.file as string))) : null;
  const all = text === null ? (options.ids as ArrayLike<number>) : await encode(engine, text);
  throwIfAborted(options.signal);
  const { maxTokens } = options;
  if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && maxTokens > 0))
    throw new EspalierError("ERR_ARGUMENT", `maxTokens: expected a whole number from 1, found ${maxTokens}`);
  const tokensPerByte = text === null ? null : all.length / Buffer.byteLength(text);
  return { ids: Int32Array.from(all).slice(0, maxTokens), tokensPerByte };
}

async function encode(engine: ScoringEngine, text: string): Promise<ArrayLike<number>> {
  if (engine.tokenizer === null)
    throw new EspalierError("ERR_TOKENIZER_MISSING", `${engine.directory} has no tokenizer: give the text as ids`);
  return engine.tokenizer.encode(text, { addSpecialTokens: true });
}

/** Several windows are with the engine at a time; their sums are added in the order of the text. */
async function sumWindows(
  engine: ScoringEngine,
  ids: Int32Array,
  windows: readonly Window[],
  options: PerplexityOptions,
): Promise<{ sum: number; tokens: number }> {
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const scores = (window: Window): Promise<number> => {
    const sum = nllOfWindow(engine, ids, window, signal);
    sum.catch(() => {}); // it may fail while an earlier one is awaited; it is awaited later
    return sum;
  };
  const span = (windows[0] as Window).end;
  const inFlight = Math.max(2, Math.ceil(TOKENS_IN_FLIGHT / span));
  const pending = windows.slice(0, inFlight).map(scores);
  let sum = 0;
  let tokens = 0;
  try {
    for (const [index, window] of windows.entries()) {
      sum += await (pending.shift() as Promise<number>);
      throwIfAborted(options.signal);
      tokens += window.end - window.begin - window.countFrom;
      const next = windows[index + inFlight];
      if (next !== undefined) pending.push(scores(next));
      options.onProgress?.({ done: index + 1, total: windows.length, perplexity: Math.exp(sum / tokens) });
    }
    return { sum, tokens };
  } catch (error) {
    stop.abort();
    await Promise.allSettled(pending);
    throwIfAborted(options.signal);
    throw error;
  }
}

/** Sum over the window's tokens that count. */
async function nllOfWindow(
  engine: ScoringEngine,
  ids: Int32Array,
  window: Window,
  signal: AbortSignal,
): Promise<number> {
  const logprobs = await engine.score(ids.subarray(window.begin, window.end), { signal });
  let sum = 0;
  for (let token = window.countFrom; token < window.end - window.begin; ++token) sum -= logprobs[token - 1] as number;
  return sum;
}
