// SPDX-License-Identifier: Apache-2.0
/**
 * Which conversations share a row: in shuffled order, each in the first open row that has room for it.
 */
import { NumpyRandomState } from "../numpy-random.js";

/** Rows that are still looked at for room. */
const OPEN_ROWS = 64;

export interface PackRequest {
  /** [conversations] Places each takes in a row, at most sequenceLength. */
  places: Int32Array;
  sequenceLength: number;
  seed: number;
  /** At least so many rows, passing over the conversations as often as it takes; null: one pass. */
  samples: number | null;
}

/** Conversations of each row. Every pass shuffles anew. */
export function packRows({ places, sequenceLength, seed, samples }: PackRequest): number[][] {
  const random = new NumpyRandomState(seed);
  const order = Int32Array.from(places, (_, i) => i);
  const rows: number[][] = [];
  do {
    random.shuffle(order);
    const open: { row: number[]; room: number }[] = [];
    for (const conversation of order) {
      const needed = places[conversation]!;
      const fitting = open.findIndex(({ room }) => room >= needed);
      if (fitting === -1) {
        const row = [conversation];
        rows.push(row);
        open.push({ row, room: sequenceLength - needed });
        if (open.length > OPEN_ROWS) open.shift();
        continue;
      }
      open[fitting]!.row.push(conversation);
      open[fitting]!.room -= needed;
      if (open[fitting]!.room === 0) open.splice(fitting, 1);
    }
  } while (samples !== null && rows.length < samples);
  return rows;
}
