// SPDX-License-Identifier: Apache-2.0
/**
 * The main thread's end of a worker: calls as promises. The worker holds the process only while it works.
 */
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { EspalierError } from "../errors.js";
import type { Failure, Request, Response } from "./messages.js";

interface Pending {
  resolve(value: unknown): void;
  reject(error: EspalierError): void;
  onProgress: ((value: never) => void) | undefined;
}

export interface CallOptions<Progress> {
  /** Moved to the worker, not copied. */
  transfer?: readonly ArrayBuffer[];
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** What a worker can do: by name, what goes in, what comes out, and what it reports on the way. */
export type OperationTable = Record<string, { in: unknown; out: unknown; progress?: unknown }>;

export class WorkerClient<Operations extends { [K in keyof Operations]: OperationTable[string] }> {
  readonly #name: string;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextCall = 0;
  #idle: (() => void)[] = [];
  /** Why no more calls are taken. */
  #ended: EspalierError | null = null;
  #closing: Promise<void> | null = null;

  /** `name` is the worker's in errors: "tokenizer". */
  constructor(file: URL, name: string) {
    this.#name = name;
    // A path, and no execArgv: flags such as --input-type would stop the file from loading.
    this.#worker = new Worker(fileURLToPath(file), { name: `espalier-${name}`, execArgv: [] });
    this.#worker.unref();
    this.#worker.on("message", (response: Response) => this.#settle(response));
    this.#worker.on("error", (error) => this.#end(`the ${name}'s worker failed: ${error.message}`));
    this.#worker.on("exit", () => this.#end(`the ${name}'s worker has ended`));
  }

  call<K extends keyof Operations & string>(
    op: K,
    input: Operations[K]["in"],
    options: CallOptions<Operations[K]["progress"]> = {},
  ): Promise<Operations[K]["out"]> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) throw this.#ended;
      const call = this.#nextCall++;
      this.#worker.ref();
      const { onProgress, transfer = [] } = options;
      this.#pending.set(call, { resolve: resolve as (value: unknown) => void, reject, onProgress });
      try {
        this.#worker.postMessage({ call, op, input } satisfies Request, [...transfer]);
      } catch (error) {
        this.#pending.delete(call);
        this.#rest();
        reject(new EspalierError("ERR_ARGUMENT", `cannot be sent to the ${this.#name}: ${(error as Error).message}`));
      }
    });
  }

  /** Takes no more calls, waits for those in flight, ends the thread. */
  close(): Promise<void> {
    this.#ended ??= new EspalierError("ERR_DISPOSED", `the ${this.#name} was disposed`);
    this.#closing ??= this.#drain().then(async () => {
      await this.#worker.terminate();
    });
    return this.#closing;
  }

  /** Ends the thread at once, without a word; for owners that were collected. */
  abandon(): void {
    void this.#worker.terminate();
  }

  #drain(): Promise<void> {
    return this.#pending.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  #settle(response: Response): void {
    const pending = this.#pending.get(response.call);
    if ("progress" in response) return pending?.onProgress?.(response.progress as never);
    this.#pending.delete(response.call);
    this.#rest();
    if (pending === undefined) return;
    if ("failure" in response) pending.reject(errorOf(response.failure));
    else pending.resolve(response.value);
  }

  #rest(): void {
    if (this.#pending.size > 0) return;
    this.#worker.unref();
    this.#idle.splice(0).forEach((resolve) => resolve());
  }

  #end(reason: string): void {
    this.#ended ??= new EspalierError("ERR_INTERNAL", reason);
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    pending.forEach(({ reject }) => reject(this.#ended as EspalierError));
    this.#rest();
  }
}

/** The worker's error with the caller's stack. */
function errorOf(failure: Failure): EspalierError {
  const cause = new Error(failure.message);
  if (failure.stack !== undefined) cause.stack = failure.stack;
  return new EspalierError(failure.code, failure.message, { cause });
}
