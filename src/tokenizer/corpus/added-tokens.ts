// SPDX-License-Identifier: Apache-2.0
/**
 * Finds added tokens written out in a text: leftmost, then longest.
 */

export interface FoundToken {
  index: number;
  length: number;
  /** The one id. */
  ids: Int32Array;
}

export class AddedTokenFinder {
  readonly #ids: ReadonlyMap<string, Int32Array>;
  readonly #pattern: RegExp;
  /** Beginning that all of them share; a text without it is not searched. */
  readonly #prefix: string;

  private constructor(ids: ReadonlyMap<string, Int32Array>) {
    this.#ids = ids;
    const tokens = [...ids.keys()].sort((a, b) => b.length - a.length);
    this.#pattern = new RegExp(tokens.map((token) => token.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|"), "gu");
    this.#prefix = tokens.reduce(commonPrefix);
  }

  static from(tokens: readonly { id: number; content: string }[]): AddedTokenFinder | null {
    if (tokens.length === 0) return null;
    return new AddedTokenFinder(new Map(tokens.map(({ id, content }) => [content, Int32Array.of(id)])));
  }

  *find(text: string): Generator<FoundToken> {
    if (!text.includes(this.#prefix)) return;
    for (const { 0: token, index } of text.matchAll(this.#pattern))
      yield { index, length: token.length, ids: this.#ids.get(token)! };
  }
}

function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return a.slice(0, length);
}
