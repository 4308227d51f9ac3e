/**
 * What a document scores, and means with their standard errors.
 */
import { codePoints } from "./python-text.js";
import type { ChoiceDocument, Metric, Sample } from "./types.js";

/**
 * acc: the likeliest answer is the right one. acc_norm: the same by log-likelihood / characters of the answer. Of equal
 * answers the first counts.
 */
export function scoreChoices(logLikelihoods: readonly number[], document: ChoiceDocument): Record<string, number> {
  const perCharacter = logLikelihoods.map((value, index) => value / codePoints(document.choices[index] ?? ""));
  return {
    acc: Number(indexOfLargest(logLikelihoods) === document.gold),
    acc_norm: Number(indexOfLargest(perCharacter) === document.gold),
  };
}

function indexOfLargest(values: readonly number[]): number {
  return values.reduce((best, value, index) => (value > (values[best] as number) ? index : best), 0);
}

/** Means over the documents, in their order. */
export function summarize(samples: readonly Sample[], metrics: readonly string[]): Record<string, Metric> {
  return Object.fromEntries(metrics.map((name) => [name, mean(samples.map(({ values }) => values[name] as number))]));
}

function mean(values: readonly number[]): Metric {
  const count = values.length;
  const value = values.reduce((sum, x) => sum + x, 0) / count;
  if (count < 2) return { value, stderr: null };
  const squares = values.reduce((sum, x) => sum + (x - value) ** 2, 0);
  return { value, stderr: Math.sqrt(squares / (count - 1)) / Math.sqrt(count) };
}
