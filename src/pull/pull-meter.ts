// SPDX-License-Identifier: Apache-2.0
/**
 * Adds up the progress of several files and reports it, not too often.
 */
import type { RepoFile } from "./model-files.js";
import type { PullProgress } from "./settings.js";

const REPORT_MS = 50;

export class PullMeter {
  readonly #received = new Map<RepoFile, number>();
  readonly #totalBytes: number;
  readonly #report: ((progress: PullProgress) => void) | undefined;
  #lastReport = 0;
  /** Bytes that were not in the cache when the pull began. */
  fetchedBytes = 0;

  constructor(files: readonly RepoFile[], report: ((progress: PullProgress) => void) | undefined) {
    this.#totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    this.#report = report;
  }

  /** `bytes` of the file are there now. What is there at the first call was there before. */
  received(file: RepoFile, bytes: number): void {
    const before = this.#received.get(file);
    this.#received.set(file, bytes);
    if (before !== undefined) this.fetchedBytes += Math.max(0, bytes - before);
    const now = performance.now();
    if (bytes < file.sizeBytes && now - this.#lastReport < REPORT_MS) return;
    this.#lastReport = now;
    this.#report?.({
      file: file.path,
      fileReceivedBytes: bytes,
      fileTotalBytes: file.sizeBytes,
      receivedBytes: [...this.#received.values()].reduce((sum, value) => sum + value, 0),
      totalBytes: this.#totalBytes,
    });
  }
}
