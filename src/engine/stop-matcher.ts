/**
 * Finds stop strings in streamed text and holds back text that may turn out to be the beginning of one.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** Text that is certain not to belong to a stop string, and the stop string found (nothing after it is given). */
  push(text: string): { text: string; stopped: string | null } {
    const all = this.#held + text;
    let at = -1;
    let stopped: string | null = null;
    for (const stop of this.#stops) {
      const found = all.indexOf(stop);
      if (found < 0 || (at >= 0 && found >= at)) continue;
      at = found;
      stopped = stop;
    }
    if (stopped !== null) {
      this.#held = "";
      return { text: all.slice(0, at), stopped };
    }
    const keep = this.#possibleBeginning(all);
    this.#held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep), stopped: null };
  }

  /** What was held back, when the stream ends. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /** Length of the longest end of `text` that is a proper beginning of a stop string. */
  #possibleBeginning(text: string): number {
    let longest = 0;
    for (const stop of this.#stops)
      for (let length = Math.min(stop.length - 1, text.length); length > longest; --length)
        if (text.endsWith(stop.slice(0, length))) longest = length;
    return longest;
  }
}
