/**
 * Works on several items at a time, so that the engine's steps are full.
 */
import { throwIfAborted } from "../../abort.js";

/** More than the engine works on together: it never waits for us. */
export const ITEMS_IN_FLIGHT = 32;

/** The first error stops the rest; it is thrown when all have stopped. */
export async function forEachInFlight<Item>(
  items: readonly Item[],
  atOnce: number,
  signal: AbortSignal | undefined,
  work: (item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const rest = items.values();
  const errors: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (const item of rest) {
      if (either.aborted) return;
      try {
        await work(item, either);
      } catch (error) {
        errors.push(error);
        stop.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  throwIfAborted(signal);
  if (errors.length > 0) throw errors[0];
}
