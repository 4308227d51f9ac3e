// SPDX-License-Identifier: Apache-2.0
/**
 * The main thread's end of a tokenizer worker: calls as promises. The worker holds the process only while it works.
 */
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { EspalierError } from "../errors.js";
import type { Failure, OperationName, Operations, Request, Response } from "./messages.js";

interface Pending {
  resolve(value: unknown): void;
  reject(error: EspalierError): void;
}

export class WorkerClient {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextCall = 0;
  #idle: (() => void)[] = [];
  /** Why no more calls are taken. */
  #ended: EspalierError | null = null;
  #closing: Promise<void> | null = null;

  constructor() {
    // A path, and no execArgv: flags such as --input-type would stop the file from loading.
    const file = fileURLToPath(new URL("./worker.js", import.meta.url));
    this.#worker = new Worker(file, { name: "espalier-tokenizer", execArgv: [] });
    this.#worker.unref();
    this.#worker.on("message", (response: Response) => this.#settle(response));
    this.#worker.on("error", (error) => this.#end(`the tokenizer's worker failed: ${error.message}`));
    this.#worker.on("exit", () => this.#end("the tokenizer's worker has ended"));
  }

  call<K extends OperationName>(op: K, input: Operations[K]["in"]): Promise<Operations[K]["out"]> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) throw this.#ended;
      const call = this.#nextCall++;
      this.#worker.ref();
      this.#pending.set(call, { resolve: resolve as (value: unknown) => void, reject });
      try {
        this.#worker.postMessage({ call, op, input } as Request);
      } catch (error) {
        this.#pending.delete(call);
        this.#rest();
        reject(new EspalierError("ERR_ARGUMENT", `cannot be sent to the tokenizer: ${(error as Error).message}`));
      }
    });
  }

  /** Takes no more calls, waits for those in flight, ends the thread. */
  close(): Promise<void> {
    this.#ended ??= new EspalierError("ERR_DISPOSED", "the tokenizer was disposed");
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
