// SPDX-License-Identifier: Apache-2.0
/**
 * The processes that share a run (`mpirun -n 2 npx espalier train ...`). Each works on its part of every global batch;
 * rank 0, the lead, alone writes. All make the same calls in the same order.
 */
import { binding } from "../binding.js";
import { EspalierError } from "../errors.js";
import type { Communicator } from "./native-trainer.js";

export type Ranks = Communicator;

/** A process that is alone. */
export const alone: Ranks = {
  rank: 0,
  size: 1,
  sum: () => Promise.resolve(),
  broadcast: () => Promise.resolve(),
  leave: () => {},
};

let joined: Ranks | undefined;

/** The ranks of this process's run. ERR_MPI. */
export function joinRanks(): Ranks {
  if (joined !== undefined) return joined;
  const ranks = binding.openCommunicator() ?? alone;
  // A rank that failed must not wait for the others: it just ends, and mpirun ends them.
  if (ranks.size > 1) process.once("exit", (code) => (code === 0 ? ranks.leave() : undefined));
  joined = ranks;
  return ranks;
}

export function isLead(ranks: Ranks): boolean {
  return ranks.rank === 0;
}

/** What the lead decided. Until it says so, the others wait. */
export async function announce(ranks: Ranks, decision: boolean): Promise<boolean> {
  const byte = Uint8Array.of(decision ? 1 : 0);
  await ranks.broadcast(byte);
  return byte[0] === 1;
}

/** Sequences of a global batch that one rank works on. ERR_ARGUMENT when they cannot be shared out evenly. */
export function sequencesPerRank(ranks: Ranks, globalBatch: number, microBatch: number): number {
  if (globalBatch % (microBatch * ranks.size) === 0) return globalBatch / ranks.size;
  throw new EspalierError(
    "ERR_ARGUMENT",
    `train: globalBatch: expected a multiple of micro batch x processes (${microBatch} x ${ranks.size}), found ${globalBatch}`,
  );
}
