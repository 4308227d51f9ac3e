/**
 * Progress on standard error: a bar on a terminal, plain lines at most every few seconds elsewhere.
 */
import cliProgress from "cli-progress";

const PLAIN_INTERVAL_MS = 3000;

export class Progress {
  #bar: cliProgress.SingleBar | null = null;
  #label = "";
  #lastLineAt = 0;
  readonly #terminal = process.stderr.isTTY === true;

  /** A line of its own. */
  say(message: string): void {
    this.end();
    process.stderr.write(`${message}\n`);
  }

  /** Shows `done` of `total` under a label; a new label starts a new bar. */
  update(label: string, done: number, total: number, detail = ""): void {
    if (this.#terminal) this.#updateBar(label, done, total, detail);
    else this.#updateLine(label, done, total, detail);
  }

  /** Ends the bar under way, if any. */
  end(): void {
    this.#bar?.stop();
    this.#bar = null;
    this.#label = "";
  }

  #updateBar(label: string, done: number, total: number, detail: string): void {
    if (this.#bar === null || this.#label !== label) {
      this.end();
      this.#label = label;
      this.#bar = new cliProgress.SingleBar({
        format: "{label} {bar} {percentage}% {detail}",
        stream: process.stderr,
        hideCursor: true,
        barsize: 28,
        clearOnComplete: false,
      });
      this.#bar.start(total, done, { label, detail });
    }
    this.#bar.setTotal(total);
    this.#bar.update(done, { label, detail });
    if (done >= total) this.end();
  }

  #updateLine(label: string, done: number, total: number, detail: string): void {
    const now = performance.now();
    const starts = this.#label !== label;
    const ends = done >= total;
    if (!starts && !ends && now - this.#lastLineAt < PLAIN_INTERVAL_MS) return;
    this.#label = ends ? "" : label;
    this.#lastLineAt = now;
    const percent = total > 0 ? Math.floor((100 * done) / total) : 0;
    process.stderr.write(`${label} ${percent}%${detail === "" ? "" : ` ${detail}`}\n`);
  }
}
