/**
 * Resident memory of this process, memory that is free to use, and the largest batch that fits.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { freemem } from "node:os";

const MEGABYTE = 1e6;

/** Megabytes (10^6 bytes) resident now. */
export function residentMB(): number {
  return process.memoryUsage.rss() / MEGABYTE;
}

/** Highest resident memory since `start()`. */
export class PeakMemory {
  #resettable = false;
  #highest = 0;

  /** Linux lets a process reset its own high-water mark; elsewhere `sample()` has to be called often. */
  start(): void {
    this.#highest = residentMB();
    try {
      writeFileSync("/proc/self/clear_refs", "5");
      const mark = highWaterMB();
      this.#resettable = mark !== null && mark <= this.#highest * 1.02 + 1;
    } catch {
      this.#resettable = false;
    }
  }

  sample(): void {
    this.#highest = Math.max(this.#highest, residentMB());
  }

  peakMB(): number {
    this.sample();
    return this.#resettable ? Math.max(highWaterMB() ?? 0, this.#highest) : this.#highest;
  }
}

function highWaterMB(): number | null {
  const match = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"));
  return match === null ? null : (Number(match[1]) * 1024) / MEGABYTE;
}

/** Bytes that can be used without swapping: MemAvailable or the control group's rest, whichever is less. */
export function availableBytes(): number {
  let available = freemem();
  try {
    const match = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"));
    if (match !== null) available = Number(match[1]) * 1024;
  } catch {
    // not Linux: what the system calls free
  }
  const own = typeof process.availableMemory === "function" ? process.availableMemory() : available;
  return Math.min(available, own);
}

export interface BatchFit {
  availableBytes: number;
  /** Of all engines that are loaded together. */
  weightBytes: number;
  kvBytesPerToken: number;
  /** Logits and activations of one sequence. */
  workspaceBytesPerSequence: number;
  /** ISL + OSL. */
  tokens: number;
  maxBatch: number;
}

/** A multiple of the tokens in a page of the cache (kKvPageTokens in kv_append.h). */
export const KV_PAGE_TOKENS = 64;

/** Room left for the rest of the process and the machine. */
const USABLE_SHARE = 0.9;

export function pagedTokens(tokens: number): number {
  return Math.ceil(tokens / KV_PAGE_TOKENS) * KV_PAGE_TOKENS;
}

/** Largest batch whose weights, caches and workspaces fit in 90 % of the available memory; at least 1. */
export function largestBatch(fit: BatchFit): number {
  const room = USABLE_SHARE * fit.availableBytes - fit.weightBytes;
  const perSequence = pagedTokens(fit.tokens) * fit.kvBytesPerToken + fit.workspaceBytesPerSequence;
  return Math.max(1, Math.min(fit.maxBatch, Math.floor(room / perSequence)));
}
