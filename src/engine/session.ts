/**
 * Session: a conversation on an engine. Earlier turns are not computed again while they stay in the engine's cache.
 */
import { EspalierError } from "../errors.js";
import type { ChatMessage } from "../tokenizer/index.js";
import type { Engine } from "./engine.js";
import type { Generation } from "./generation.js";
import type { GenerateOptions } from "./options.js";

export interface SessionOptions {
  /** First message of the conversation. */
  system?: string;
  /** Earlier messages to continue from. */
  messages?: ChatMessage[];
}

export class Session implements Disposable {
  readonly #engine: Engine;
  readonly #messages: ChatMessage[];
  readonly #onDispose: () => void;
  #open: Generation | null = null;
  #disposed = false;

  /** @internal Made by `Engine.createSession`. */
  constructor(engine: Engine, options: SessionOptions, onDispose: () => void) {
    this.#engine = engine;
    this.#onDispose = onDispose;
    this.#messages = options.system === undefined ? [] : [{ role: "system", content: options.system }];
    this.#messages.push(...(options.messages ?? []));
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** Asks and streams the answer; both join the conversation once the answer is complete. One question at a time. */
  chat(text: string, options: Omit<GenerateOptions, "prompt" | "messages" | "ids"> = {}): Generation {
    if (this.#disposed) throw new EspalierError("ERR_DISPOSED", "the session was disposed");
    if (this.#open !== null && !this.#open.settled)
      throw new EspalierError("ERR_SESSION_BUSY", "the session is still answering; await its result first");
    const question: ChatMessage = { role: "user", content: text };
    const generation = this.#engine.generate({ ...options, messages: [...this.#messages, question] });
    this.#open = generation;
    generation.result().then(
      (result) => this.#messages.push(question, { role: "assistant", content: result.text }),
      () => {}, // a failed turn leaves the conversation as it was
    );
    return generation;
  }

  /** Cancels an answer under way. May be called twice. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#open?.fail(new EspalierError("ERR_DISPOSED", "the session was disposed"));
    this.#onDispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
