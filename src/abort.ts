/** AbortSignal handling shared by everything that can be stopped. */
import { setMaxListeners } from "node:events";
import { EspalierError } from "./errors.js";

/** ERR_ABORTED with the signal's reason as its cause. */
export function abortError(signal: AbortSignal): EspalierError {
  return new EspalierError("ERR_ABORTED", "the operation was aborted by its signal", { cause: signal.reason });
}

/** Throws `abortError` once the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

/** Calls `listener` with `abortError` when the signal fires; returns what takes the listener away again. */
export function onAbort(signal: AbortSignal | undefined, listener: (error: EspalierError) => void): () => void {
  if (signal === undefined) return () => {};
  const handler = (): void => listener(abortError(signal));
  // Hundreds of generations may share a signal; each takes its listener away when it ends, so none leaks.
  if (signal instanceof EventTarget) setMaxListeners(0, signal);
  signal.addEventListener("abort", handler, { once: true });
  return () => signal.removeEventListener("abort", handler);
}
