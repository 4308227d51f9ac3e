/**
 * Calls of logit_loss on random logits.
 */
import { binding } from "../../../src/binding.js";
import { randomArray, unaligned } from "./row-cases.js";

/** In the order of LogitTermKind. */
export const kinds = ["cross_entropy", "kl", "reverse_kl", "jsd", "logits_mse", "logits_cosine"] as const;

export interface Term {
  kind: number;
  weight: number;
  temperature?: number;
  topK?: number;
  beta?: number;
}

export interface LossCall {
  logits: Float32Array;
  ld: number;
  teacher: Float32Array | null;
  ldTeacher: number;
  labels: Int32Array;
  rows: number;
  vocab: number;
  terms: readonly Term[];
  correctionThreshold?: number;
}

export interface LossResult {
  /** The logits after the call. */
  logits: Float32Array;
  sums: Float64Array;
}

export function termOf(kind: (typeof kinds)[number], rest: Partial<Term> = {}): Term {
  return { kind: kinds.indexOf(kind), weight: 1, temperature: 1, topK: 0, beta: 0.5, ...rest };
}

/** kKlTail, which needs a topK. */
export function tailTerm(topK: number, rest: Partial<Term> = {}): Term {
  return { kind: kinds.length, weight: 1, temperature: 1, topK, ...rest };
}

/** Logits up to +-12; every fifth label does not count. */
export function makeLossCall(rows: number, vocab: number, terms: readonly Term[]): LossCall {
  const [ld, ldTeacher] = [vocab + 3, vocab + 1];
  const spread = (values: Float32Array): Float32Array => unaligned(values, 1).map((value) => value * 12);
  return {
    logits: spread(randomArray(rows * ld, 1)),
    ld,
    teacher: spread(randomArray(rows * ldTeacher, 2)),
    ldTeacher,
    labels: Int32Array.from({ length: rows }, (_, row) => (row % 5 === 3 ? -100 : (row * 31) % vocab)),
    rows,
    vocab,
    terms,
  };
}

/** Runs on a copy of the logits. */
export function runLoss(call: LossCall, options: Record<string, unknown> = {}): LossResult {
  const logits = unaligned(call.logits, 1);
  const sums = new Float64Array(call.terms.length);
  binding.testing["logit_loss"]!({ gradient: true, ...call, ...options, logits, sums });
  return { logits, sums };
}
