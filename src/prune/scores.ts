// SPDX-License-Identifier: Apache-2.0
/**
 * Importance scores, whoever measured them. Higher is kept; layers and indices count from 0.
 */
import { EspalierError } from "../errors.js";
import type { ModelSpec } from "../model/spec.js";

export interface ImportanceScores {
  /** Fingerprint of the model they were measured on: "sha256:...". */
  model: string;
  /** [hidden] of the residual stream, summed over the layers. */
  hidden: Float32Array;
  /** One [ffn] a layer: neurons. */
  ffn: readonly Float32Array[];
  /** One [heads] a layer: query heads. */
  heads: readonly Float32Array[];
  /** One [kv heads] a layer: key-value heads with their query heads. */
  kvGroups: readonly Float32Array[];
  /** [layers] block importance; null: not measured. */
  layers: Float64Array | null;
  /** What is left without the block of `size` layers that begins at each layer. */
  contiguous: readonly ContiguousBlocks[];
}

/** [layers - size + 1] each; null: not measured. */
export interface ContiguousBlocks {
  size: number;
  /** LM loss. */
  lossWithout: Float64Array | null;
  /** Mean score on tasks. */
  accuracyWithout?: Float64Array | null;
}

/** ERR_PRUNE_SCORES unless the scores are this model's: fingerprint, lengths, finite. */
export function checkScores(scores: ImportanceScores, spec: ModelSpec, fingerprint: string): void {
  if (scores.model !== fingerprint)
    throw scoresError(`importance: expected scores of this model (${fingerprint}), found those of ${scores.model}`);
  checkVector("hidden", scores.hidden, spec.hiddenSize);
  const layered = { ffn: spec.intermediateSize, heads: spec.numHeads, kvGroups: spec.numKvHeads } as const;
  for (const [axis, size] of Object.entries(layered) as [keyof typeof layered, number][]) {
    if (scores[axis].length !== spec.numLayers)
      throw scoresError(`importance: ${axis}: expected ${spec.numLayers} layers, found ${scores[axis].length}`);
    scores[axis].forEach((values, layer) => checkVector(`${axis} of layer ${layer}`, values, size));
  }
  if (scores.layers !== null) checkVector("layers", scores.layers, spec.numLayers);
  for (const { size, lossWithout, accuracyWithout = null } of scores.contiguous) {
    const starts = spec.numLayers - size + 1;
    if (lossWithout !== null) checkVector(`loss without ${size} layers`, lossWithout, starts);
    if (accuracyWithout !== null) checkVector(`accuracy without ${size} layers`, accuracyWithout, starts);
  }
}

function checkVector(name: string, values: Float32Array | Float64Array, size: number): void {
  if (values.length !== size) throw scoresError(`importance: ${name}: expected ${size} scores, found ${values.length}`);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw scoresError(`importance: ${name}: expected finite scores, found ${values[bad]} at ${bad}`);
}

export function scoresError(message: string): EspalierError {
  return new EspalierError("ERR_PRUNE_SCORES", `prune: ${message}`);
}
