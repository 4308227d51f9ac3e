/** AbortSignal handling shared by everything that can be stopped. */
import { EspalierError } from "./errors.js";

/** Throws ERR_ABORTED, with the signal's reason as its cause, once the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new EspalierError("ERR_ABORTED", "the operation was aborted by its signal", { cause: signal.reason });
}
