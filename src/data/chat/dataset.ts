// SPDX-License-Identifier: Apache-2.0
/**
 * Rows of whole conversations, each of which attends to itself alone.
 */
import { IGNORED, RowDataset } from "../row-dataset.js";
import type { SplitName, TrainSample } from "../types.js";
import type { Conversations } from "./read.js";

export class ChatDataset extends RowDataset {
  readonly #conversations: Conversations;
  readonly #rows: readonly (readonly number[])[];
  readonly #pad: number;

  constructor(
    split: SplitName,
    conversations: Conversations,
    rows: readonly (readonly number[])[],
    length: number,
    pad: number,
  ) {
    super(split, rows.length, length, true);
    this.#conversations = conversations;
    this.#rows = rows;
    this.#pad = pad;
  }

  fill(index: number, row: TrainSample): Promise<void> {
    const { tokens, learned, starts } = this.#conversations;
    row.labels.fill(IGNORED);
    let at = 0;
    for (const conversation of this.#rows[index]!) {
      const begin = starts[conversation]!;
      const count = Math.min(starts[conversation + 1]! - begin - 1, row.tokens.length - at);
      row.tokens.set(tokens.subarray(begin, begin + count), at);
      row.documentStarts?.fill(at, at, at + count);
      for (let i = 0; i < count; ++i) if (learned[begin + i + 1] === 1) row.labels[at + i] = tokens[begin + i + 1]!;
      at += count;
    }
    row.tokens.fill(this.#pad, at);
    row.documentStarts?.fill(at, at);
    return Promise.resolve();
  }
}
