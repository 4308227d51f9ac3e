/** AbortSignal handling shared by everything that can be stopped. */
import { EspalierError } from "./errors.js";

/** ERR_ABORTED with the signal's reason as its cause. */
export function abortError(signal: AbortSignal): EspalierError {
  return new EspalierError("ERR_ABORTED", "the operation was aborted by its signal", { cause: signal.reason });
}

/** Throws `abortError` once the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}
