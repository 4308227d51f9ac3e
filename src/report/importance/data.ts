// SPDX-License-Identifier: Apache-2.0
/**
 * What the charts of importance are made of: the figures of importance.json and its scores.
 */

/** Of every block of `size` consecutive layers, by where it begins: one value each. */
export interface BlockValues {
  size: number;
  values: readonly number[];
}

/** The part of importance.json that is shown. */
export interface ReportedImportance {
  model: { name: string; layers: number; hidden: number; ffn: number; heads: number; kvHeads: number };
  samples: number;
  seqLength: number;
  blockImportance: { all: readonly number[]; withoutFirstPosition: readonly number[] };
  loss: {
    samples: number;
    whole: number | null;
    without: readonly { size: number; losses: readonly number[] }[];
  };
  /** Scores on tasks without blocks of layers. */
  tasks?: readonly ReportedTask[] | undefined;
}

export interface ReportedTask {
  task: string;
  /** What is shown: "acc". */
  metric: string;
  documents: number;
  shots: number;
  whole: number;
  without: readonly BlockValues[];
}

/** Scores under one aggregation, layer by layer. */
export interface ReportedScores {
  hidden: ArrayLike<number>;
  ffn: readonly ArrayLike<number>[];
  heads: readonly ArrayLike<number>[];
  kvGroups: readonly ArrayLike<number>[];
}

export interface ImportanceFigures {
  measured: ReportedImportance;
  /** How the scores were aggregated: "L2 over sequences, mean over positions". */
  aggregation: string;
  scores: ReportedScores;
  /** The same without the first position. */
  withoutFirstPosition: ReportedScores;
}
