// SPDX-License-Identifier: Apache-2.0
/**
 * A worker thread's own end: takes requests in order, answers each once.
 */
import { parentPort } from "node:worker_threads";
import { EspalierError } from "../errors.js";
import type { OperationTable } from "./client.js";
import type { Failure, Request, Response } from "./messages.js";

export type Handlers<Operations extends { [K in keyof Operations]: OperationTable[string] }> = {
  [K in keyof Operations]: (
    input: Operations[K]["in"],
    report: (progress: Operations[K]["progress"]) => void,
  ) => Operations[K]["out"] | Promise<Operations[K]["out"]>;
};

/** `name` stands before what was not expected to go wrong. Typed arrays of an answer are moved, not copied. */
export function serve<Operations extends { [K in keyof Operations]: OperationTable[string] }>(
  name: string,
  handlers: Handlers<Operations>,
): void {
  let queue = Promise.resolve();
  const post = (response: Response, transfer: ArrayBuffer[] = []): void => parentPort?.postMessage(response, transfer);
  const answer = async ({ call, op, input }: Request): Promise<void> => {
    try {
      const handle = handlers[op as keyof Operations] as (input: unknown, report: (value: unknown) => void) => unknown;
      const value = await handle(input, (progress) => post({ call, progress }));
      post({ call, value }, buffersOf(value));
    } catch (error) {
      post({ call, failure: failureOf(name, error) });
    }
  };
  parentPort?.on("message", (request: Request) => {
    queue = queue.then(() => answer(request));
  });
}

function failureOf(name: string, error: unknown): Failure {
  if (error instanceof EspalierError) return { code: error.code, message: error.message, stack: error.stack };
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? error.stack : undefined;
  return { code: "ERR_INTERNAL", message: `${name}: ${message}`, stack };
}

/** Of a typed array, an array of them, or an object's fields. */
function buffersOf(value: unknown): ArrayBuffer[] {
  const parts =
    typeof value === "object" && value !== null && !ArrayBuffer.isView(value) ? Object.values(value) : [value];
  const buffers = parts.flatMap((part: unknown) =>
    ArrayBuffer.isView(part) && part.buffer instanceof ArrayBuffer ? [part.buffer] : [],
  );
  return [...new Set(buffers)];
}
