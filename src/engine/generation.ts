/**
 * Generation: one request's stream of text and tokens. Iterate it for chunks, or await `result()` for the whole.
 */
import { EspalierError, toEspalierError } from "../errors.js";
import type { DecodeStream } from "../tokenizer/index.js";
import type { NativeEvent } from "../binding.js";
import { StopMatcher } from "./stop-matcher.js";

export interface GeneratedToken {
  id: number;
  /** Natural log-probability under the model's raw distribution. */
  logprob: number;
  /** The most probable tokens at this place, best first; as many as `logprobs` asked for. */
  top: { id: number; logprob: number }[];
}

export interface GenerationChunk {
  /** Text that will not change any more; may be empty while a character or stop string is incomplete. */
  text: string;
  tokens: GeneratedToken[];
}

/** stop: end-of-sequence token or stop string; length: maxTokens reached; context: no room left in the context. */
export type FinishReason = "stop" | "length" | "context";

export interface GenerationResult {
  text: string;
  /** Generated ids, the end-of-sequence id included when one was generated. */
  ids: number[];
  promptIds: number[];
  tokens: GeneratedToken[];
  finishReason: FinishReason;
  /** The stop string that ended it. */
  stopString: string | null;
  /** Prompt tokens whose keys and values were found in the cache. */
  reusedTokens: number;
  /** Milliseconds from handing the request in to its first token, as the engine's thread saw it. */
  ttftMs: number;
  /** Milliseconds from handing the request in to its last token. */
  totalMs: number;
}

interface Waiter {
  resolve: (result: IteratorResult<GenerationChunk, undefined>) => void;
  reject: (error: unknown) => void;
}

export class Generation implements AsyncIterable<GenerationChunk> {
  readonly #cancel: () => void;
  #stops = new StopMatcher([]);
  #decoder: DecodeStream | null = null;
  #promptIds: number[] = [];

  readonly #undecoded: GeneratedToken[] = [];
  #decoding = false;
  #nativeDone: { reason: FinishReason | "cancelled"; reusedTokens: number } | null = null;
  #stopped = false;
  #stopString: string | null = null;

  readonly #tokens: GeneratedToken[] = [];
  #text = "";
  #ttftMs = 0;
  #totalMs = 0;

  readonly #chunks: GenerationChunk[] = [];
  #waiter: Waiter | null = null;
  #outcome: { result: GenerationResult } | { error: unknown } | null = null;
  readonly #finished: Promise<GenerationResult>;
  #settle!: { resolve: (result: GenerationResult) => void; reject: (error: unknown) => void };

  /** @internal Made by `Engine.generate`. */
  constructor(cancel: () => void) {
    this.#cancel = cancel;
    this.#finished = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.#finished.catch(() => {}); // an error is seen by whoever iterates or awaits; it is never unhandled
  }

  /** The whole outcome; works with or without iterating. Rejects with the request's error. */
  result(): Promise<GenerationResult> {
    return this.#finished;
  }

  [Symbol.asyncIterator](): AsyncIterator<GenerationChunk, undefined> {
    return {
      next: () => this.#next(),
      return: () => {
        this.fail(new EspalierError("ERR_ABORTED", "the consumer stopped iterating before the generation ended"));
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /** @internal */
  start(promptIds: Int32Array, decoder: DecodeStream | null, stops: readonly string[]): void {
    this.#stops = new StopMatcher(stops);
    this.#promptIds = Array.from(promptIds);
    this.#decoder = decoder;
  }

  /** @internal True once nothing more will come. */
  get settled(): boolean {
    return this.#outcome !== null;
  }

  /** @internal */
  onEvent(event: NativeEvent): void {
    if (this.#outcome !== null) return;
    if (event.kind === "error") this.fail(toEspalierError(event.error));
    if (event.kind === "token" && !this.#stopped) {
      if (this.#tokens.length + this.#undecoded.length === 0) this.#ttftMs = event.atMs;
      this.#totalMs = event.atMs;
      this.#undecoded.push({ id: event.token, logprob: event.logprob, top: event.top });
    }
    if (event.kind === "done") this.#nativeDone = { reason: event.reason, reusedTokens: event.reusedTokens };
    void this.#decode();
  }

  /** @internal Ends the stream with an error and cancels the request. */
  fail(error: unknown): void {
    if (this.#outcome !== null) return;
    this.#outcome = { error };
    this.#cancel();
    this.#settle.reject(error);
    this.#waiter?.reject(error);
    this.#waiter = null;
  }

  /** Turns tokens into text in the order they came; one run at a time. */
  async #decode(): Promise<void> {
    if (this.#decoding) return;
    this.#decoding = true;
    try {
      while (this.#undecoded.length > 0 && this.#outcome === null) {
        const tokens = this.#undecoded.splice(0);
        this.#tokens.push(...tokens);
        const fresh = (await this.#decoder?.push(tokens.map((token) => token.id))) ?? "";
        this.#give(fresh, tokens);
      }
      if (this.#nativeDone !== null && this.#undecoded.length === 0 && this.#outcome === null) await this.#finish();
    } catch (error) {
      this.fail(error);
    } finally {
      this.#decoding = false;
    }
  }

  #give(fresh: string, tokens: GeneratedToken[]): void {
    const { text, stopped } = this.#stops.push(fresh);
    this.#text += text;
    this.#stopString = stopped;
    if (text !== "" || tokens.length > 0) this.#deliver({ text, tokens });
    if (stopped === null) return;
    this.#stopped = true;
    this.#undecoded.length = 0;
    this.#nativeDone ??= { reason: "stop", reusedTokens: 0 };
    this.#cancel();
  }

  async #finish(): Promise<void> {
    if (!this.#stopped) {
      const { text, stopped } = this.#stops.push((await this.#decoder?.flush()) ?? "");
      const rest = stopped === null ? text + this.#stops.flush() : text;
      this.#stopString = stopped;
      this.#text += rest;
      if (rest !== "") this.#deliver({ text: rest, tokens: [] });
    }
    const done = this.#nativeDone;
    if (this.#outcome !== null || done === null) return;
    if (done.reason === "cancelled") {
      this.fail(new EspalierError("ERR_ABORTED", "the generation was cancelled"));
      return;
    }
    const result: GenerationResult = {
      text: this.#text,
      ids: this.#tokens.map((token) => token.id),
      promptIds: this.#promptIds,
      tokens: this.#tokens,
      finishReason: this.#stopString === null ? done.reason : "stop",
      stopString: this.#stopString,
      reusedTokens: done.reusedTokens,
      ttftMs: this.#ttftMs,
      totalMs: this.#totalMs,
    };
    this.#outcome = { result };
    this.#settle.resolve(result);
    this.#waiter?.resolve({ done: true, value: undefined });
    this.#waiter = null;
  }

  #deliver(chunk: GenerationChunk): void {
    if (this.#waiter === null) {
      this.#chunks.push(chunk);
      return;
    }
    this.#waiter.resolve({ done: false, value: chunk });
    this.#waiter = null;
  }

  #next(): Promise<IteratorResult<GenerationChunk, undefined>> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) return Promise.resolve({ done: false, value: chunk });
    if (this.#outcome !== null) {
      if ("error" in this.#outcome) return Promise.reject(this.#outcome.error as Error);
      return Promise.resolve({ done: true, value: undefined });
    }
    if (this.#waiter !== null)
      return Promise.reject(new EspalierError("ERR_ARGUMENT", "next() was called before the previous chunk arrived"));
    return new Promise((resolve, reject) => (this.#waiter = { resolve, reject }));
  }
}
