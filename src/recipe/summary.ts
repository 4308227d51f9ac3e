// SPDX-License-Identifier: Apache-2.0
/** What came of a step, in a few words. */
import type { TokenizeReport } from "../data/index.js";
import type { BuildReport } from "../engine/index.js";
import type { PruneResult } from "../prune/index.js";
import type { QuantizeResult } from "../quantize/index.js";
import { formatBytes, formatCount } from "../report/index.js";
import type { SynthesizeReport } from "../synthesize/index.js";
import type { TrainResult } from "../train/index.js";
import type { BenchOutcome } from "./steps/bench.js";
import type { EvaluateOutcome } from "./steps/evaluate.js";

type Summaries = Record<string, (outcome: never) => string>;

const summaries: Summaries = {
  tokenize: ({ tokens, documents }: TokenizeReport) =>
    `${formatCount(tokens)} tokens in ${formatCount(documents)} documents`,
  train: trained,
  distill: trained,
  synthesize: ({ count, tokens, attempts }: SynthesizeReport) =>
    `${formatCount(count)} texts of ${formatCount(attempts)}, ${formatCount(tokens)} tokens`,
  importance: ({ samples, seqLength }: { samples: number; seqLength: number }) =>
    `${samples} samples of ${seqLength} tokens`,
  prune: ({ parameters, sourceParameters, shape }: PruneResult) =>
    `${formatCount(parameters)} of ${formatCount(sourceParameters)} parameters: ${shape.layers} layers, hidden ${shape.hidden}, ` +
    `ffn ${shape.ffn}, ${shape.heads} heads`,
  quantize: ({ scheme, weightBytes, sourceBytes }: QuantizeResult) =>
    `${scheme}, ${formatBytes(sourceBytes)} to ${formatBytes(weightBytes)}`,
  build: ({ sizeBytes, formats }: BuildReport) => `${formatBytes(sizeBytes)}, ${Object.keys(formats).join(", ")}`,
  evaluate: ({ perplexity, tasks }: EvaluateOutcome) =>
    [
      ...(perplexity === null ? [] : [`perplexity ${perplexity.perplexity.toFixed(2)}`]),
      ...Object.entries(tasks?.tasks ?? {}).map(([name, { metrics }]) => {
        const [metric, score] = Object.entries(metrics)[0]!;
        return `${name} ${metric} ${score.value.toFixed(4)}`;
      }),
    ].join(", "),
  bench: ({ engines, cells }: BenchOutcome) => `${engines.length} engines, ${cells.length} cells`,
};

export function summaryOf(verb: string, outcome: object): string {
  return summaries[verb]?.(outcome as never) ?? "";
}

function trained({ steps, loss, valLoss }: TrainResult): string {
  const validation = valLoss === null ? "" : `, validation ${valLoss.toFixed(4)}`;
  return `${steps} steps, loss ${loss?.toFixed(4) ?? "none"}${validation}`;
}
