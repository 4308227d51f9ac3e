/**
 * Engine: a built model loaded for inference. One engine serves many generations at once (continuous batching).
 */
import {
  binding,
  type NativeEngine,
  type NativeEngineConfig,
  type NativeEvent,
  type NativeRequest,
} from "../binding.js";
import { onAbort, throwIfAborted } from "../abort.js";
import { EspalierError, toEspalierError } from "../errors.js";
import type { ModelSpec } from "../model/spec.js";
import { tokenizerFromFiles, type Tokenizer } from "../tokenizer/index.js";
import { readEngineManifest, verifyEngineChecksums, type EngineManifest } from "./engine-directory.js";
import { scoreContinuations } from "./continuations.js";
import { Generation } from "./generation.js";
import { withoutLayers } from "./layer-view.js";
import { checkLoadArguments, nativeConfig, type EngineLoadOptions } from "./load-options.js";
import {
  checkGenerateOptions,
  readGenerationDefaults,
  resolveGeneration,
  type GenerateOptions,
  type SamplingOptions,
} from "./options.js";
import { Session, type SessionOptions } from "./session.js";
import { toTokenIds } from "./token-ids.js";

/** What `engine.stats()` reports; bytes are of this engine alone. */
export type EngineStats = ReturnType<NativeEngine["stats"]>;

export class Engine implements AsyncDisposable {
  readonly directory: string;
  readonly manifest: EngineManifest;
  readonly contextTokens: number;
  /** null when the engine directory holds no tokenizer: prompts are then given as ids. */
  readonly tokenizer: Tokenizer | null;
  readonly #native: NativeEngine;
  readonly #defaults: SamplingOptions;
  readonly #handlers = new Map<number, (event: NativeEvent) => void>();
  readonly #generations = new Set<Generation>();
  readonly #sessions = new Set<Session>();
  #nextRequest = 1;
  #disposed: Promise<void> | null = null;

  private constructor(
    directory: string,
    manifest: EngineManifest,
    config: NativeEngineConfig,
    tokenizer: Tokenizer | null,
    defaults: SamplingOptions,
  ) {
    this.directory = directory;
    this.manifest = manifest;
    this.contextTokens = config.contextTokens;
    this.tokenizer = tokenizer;
    this.#defaults = defaults;
    this.#native = new binding.NativeEngine(config, () => this.#drain());
  }

  /**
   * Loads an engine directory.
   * @example
   * await using engine = await Engine.load("smollm2-int8");
   * for await (const { text } of engine.generate({ prompt: "Once upon a time" })) process.stdout.write(text);
   */
  static async load(directory: string, options: EngineLoadOptions = {}): Promise<Engine> {
    checkLoadArguments(directory, options);
    const whole = await readEngineManifest(directory);
    const manifest = options.skipLayers === undefined ? whole : withoutLayers(whole, options.skipLayers);
    throwIfAborted(options.signal);
    if (options.verify === true) await verifyEngineChecksums(directory, manifest, options.signal);
    const config = nativeConfig(directory, manifest, options);
    const tokenizer = await tokenizerFromFiles(directory);
    try {
      throwIfAborted(options.signal);
      const defaults = await readGenerationDefaults(directory);
      return new Engine(directory, manifest, config, tokenizer, defaults);
    } catch (error) {
      await tokenizer?.dispose();
      throw toEspalierError(error);
    }
  }

  get spec(): ModelSpec {
    return this.manifest.spec;
  }

  /** Starts a generation; it runs whether or not anyone iterates it. Errors come from the stream or `result()`. */
  generate(options: GenerateOptions): Generation {
    const id = this.#nextRequest++;
    const generation = new Generation(() => this.#cancel(id));
    this.#generations.add(generation);
    this.#start(id, generation, options).catch((error: unknown) => generation.fail(toEspalierError(error)));
    const forget = (): void => void this.#generations.delete(generation);
    generation.result().then(forget, forget);
    return generation;
  }

  /** A conversation that remembers its messages; the cache keeps what was computed for earlier turns. */
  createSession(options: SessionOptions = {}): Session {
    this.#throwIfDisposed();
    const session = new Session(this, options, () => this.#sessions.delete(session));
    this.#sessions.add(session);
    return session;
  }

  /**
   * Logits after the last id, or after every id: one row of vocabSize values for each. `reusePrefix`: take what other
   * requests left in the cache for the ids before the last, as generations do; ids that are left for others in turn.
   */
  async logits(
    ids: ArrayLike<number>,
    options: { all?: boolean; reusePrefix?: boolean; signal?: AbortSignal } = {},
  ): Promise<Float32Array[]> {
    const event = await this.#single(
      {
        kind: "logits",
        prompt: toTokenIds(ids, this.spec.vocabSize),
        allLogits: options.all === true,
        reusePrefix: options.reusePrefix === true,
      },
      options.signal,
    );
    if (event.kind !== "logits") throw new EspalierError("ERR_INTERNAL", `expected logits, found ${event.kind}`);
    const rows: Float32Array[] = [];
    for (let at = 0; at < event.logits.length; at += this.spec.vocabSize)
      rows.push(event.logits.subarray(at, at + this.spec.vocabSize));
    return rows;
  }

  /**
   * Natural log-probability of ids[from..] given what precedes each: ids.length - from values. `from` is 1 unless given;
   * the less is asked for, the less is computed. `reusePrefix` as for `logits`, for the ids before `from`.
   */
  async score(
    ids: ArrayLike<number>,
    options: { from?: number; reusePrefix?: boolean; signal?: AbortSignal } = {},
  ): Promise<Float64Array> {
    const event = await this.#single(
      {
        kind: "score",
        prompt: toTokenIds(ids, this.spec.vocabSize),
        scoreFrom: options.from ?? 1,
        reusePrefix: options.reusePrefix === true,
      },
      options.signal,
    );
    if (event.kind !== "scores") throw new EspalierError("ERR_INTERNAL", `expected scores, found ${event.kind}`);
    return event.scores;
  }

  /**
   * Natural log-probabilities of each continuation's tokens after the same context, which holds at least one id.
   * @example const [no, yes] = await engine.scoreContinuations(question, [noIds, yesIds]);
   */
  async scoreContinuations(
    context: ArrayLike<number>,
    continuations: readonly ArrayLike<number>[],
    options: { signal?: AbortSignal } = {},
  ): Promise<Float64Array[]> {
    return scoreContinuations(this, context, continuations, options);
  }

  /** As of the last finished step. */
  stats(): EngineStats {
    return this.#native.stats();
  }

  /** @internal Hands a request straight to the native engine; every event goes to `onEvent`. Returns its cancel. */
  request(request: Omit<NativeRequest, "id">, onEvent: (event: NativeEvent) => void): () => void {
    const id = this.#nextRequest++;
    this.#submit({ ...request, id }, onEvent);
    return () => this.#cancel(id);
  }

  /** Cancels what is under way, ends sessions, and gives all memory back. May be called twice. */
  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #dispose(): Promise<void> {
    const gone = new EspalierError("ERR_DISPOSED", `the engine ${this.directory} was disposed`);
    for (const session of [...this.#sessions]) session.dispose();
    for (const generation of [...this.#generations]) generation.fail(gone);
    const handlers = [...this.#handlers.values()];
    this.#handlers.clear();
    for (const handler of handlers) handler({ kind: "error", request: 0, atMs: 0, error: gone });
    await this.#native.close();
    await this.tokenizer?.dispose();
  }

  #throwIfDisposed(): void {
    if (this.#disposed !== null) throw new EspalierError("ERR_DISPOSED", `the engine ${this.directory} was disposed`);
  }

  async #start(id: number, generation: Generation, options: GenerateOptions): Promise<void> {
    this.#throwIfDisposed();
    checkGenerateOptions(options);
    const { signal } = options;
    throwIfAborted(signal);
    const release = onAbort(signal, (error) => generation.fail(error));
    generation.result().then(release, release);
    const request = await resolveGeneration(this, this.#defaults, options);
    this.#throwIfDisposed();
    if (generation.settled) return;
    const decoder = this.tokenizer?.createDecodeStream({ skipSpecialTokens: true }) ?? null;
    generation.start(request.prompt, decoder, options.stop ?? []);
    this.#submit({ ...request, id, kind: "generate" }, (event) => generation.onEvent(event));
  }

  async #single(request: Omit<NativeRequest, "id">, signal: AbortSignal | undefined): Promise<NativeEvent> {
    this.#throwIfDisposed();
    throwIfAborted(signal);
    return new Promise<NativeEvent>((resolve, reject) => {
      const cancel = this.request(request, (event) => {
        if (event.kind === "error") reject(toEspalierError(event.error) as Error);
        else if (event.kind === "done") reject(new EspalierError("ERR_ABORTED", "the request was cancelled"));
        else resolve(event);
        release();
      });
      const release = onAbort(signal, (error) => {
        cancel();
        reject(error);
      });
    });
  }

  #submit(request: NativeRequest, handler: (event: NativeEvent) => void): void {
    try {
      this.#native.submit(request);
    } catch (error) {
      throw toEspalierError(error);
    }
    this.#handlers.set(request.id, handler);
    if (this.#handlers.size === 1) this.#native.ref();
  }

  #cancel(id: number): void {
    if (this.#handlers.has(id)) this.#native.cancel(id);
  }

  #drain(): void {
    for (const event of this.#native.takeEvents()) {
      const handler = this.#handlers.get(event.request);
      if (event.kind === "done" || event.kind === "error") this.#forget(event.request);
      handler?.(event);
    }
  }

  #forget(id: number): void {
    if (this.#handlers.delete(id) && this.#handlers.size === 0) this.#native.unref();
  }
}
