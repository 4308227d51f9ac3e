// SPDX-License-Identifier: Apache-2.0
/**
 * Sums over batches as averages under the names that logs use.
 */
import type { BatchLosses, LossTerm } from "./native-trainer.js";
import type { Ranks } from "./ranks.js";
import type { StepMetrics } from "./run-log.js";

/** Sums of several batches. */
export class LossSums {
  tokens = 0;
  readonly sums: Record<string, number> = {};

  /** Of nothing yet. */
  static of(terms: readonly LossTerm[]): LossSums {
    const sums = new LossSums();
    for (const { kind } of terms) sums.sums[kind] = 0;
    sums.sums["total"] = 0;
    return sums;
  }

  add(losses: BatchLosses): void {
    this.tokens += losses.tokens;
    for (const [kind, sum] of Object.entries(losses.sums)) this.sums[kind] = (this.sums[kind] ?? 0) + sum;
  }

  /** Adds those of the other ranks, which count the same kinds. */
  async addRanks(ranks: Ranks): Promise<void> {
    const kinds = Object.keys(this.sums).sort();
    const values = Float64Array.of(this.tokens, ...kinds.map((kind) => this.sums[kind] ?? 0));
    await ranks.sum(values);
    this.tokens = values[0] ?? 0;
    for (const [index, kind] of kinds.entries()) this.sums[kind] = values[index + 1] ?? 0;
  }

  /** Per counted token; null when it is not finite. */
  mean(...kinds: string[]): number | null {
    const sum = kinds.reduce((total, kind) => total + (this.sums[kind] ?? 0), 0);
    const mean = this.tokens === 0 ? 0 : sum / this.tokens;
    return Number.isFinite(mean) ? mean : null;
  }
}

export type LossMetrics = Pick<StepMetrics, "loss" | "lm_loss" | "kd_loss" | "logits_loss" | "intermediate_loss">;

/** `loss` is what is trained on; its parts are told where there are several. */
export function lossMetrics(sums: LossSums, terms: readonly LossTerm[]): LossMetrics {
  const kinds = terms.map((term) => term.kind);
  const hidden = kinds.filter((kind) => kind.startsWith("hidden_"));
  const logits = kinds.filter((kind) => kind !== "cross_entropy" && !hidden.includes(kind));
  const loss = sums.mean("total");
  if (hidden.length + logits.length === 0) return { loss };
  return {
    loss,
    ...(kinds.includes("cross_entropy") ? { lm_loss: sums.mean("cross_entropy") } : {}),
    kd_loss: loss,
    ...(logits.length > 0 ? { logits_loss: sums.mean(...logits) } : {}),
    ...(hidden.length > 0 ? { intermediate_loss: sums.mean(...hidden) } : {}),
  };
}

export type ValidationMetrics = { [Name in keyof LossMetrics as `val_${Name}`]: LossMetrics[Name] };

/** The same of a validation. */
export function validationMetrics(sums: LossSums, terms: readonly LossTerm[]): ValidationMetrics {
  const named = Object.entries(lossMetrics(sums, terms)).map(([name, value]) => [`val_${name}`, value]);
  return Object.fromEntries(named) as ValidationMetrics;
}
