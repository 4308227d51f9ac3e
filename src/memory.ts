import { totalmem } from "node:os";

/** The machine's memory, or the limit of this process's control group where that is less. */
export function usableMemoryBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}
