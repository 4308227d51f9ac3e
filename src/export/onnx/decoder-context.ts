// SPDX-License-Identifier: Apache-2.0
/** What the parts of a decoder's graph share. Dimensions as in decoder.ts. */
import type { ModelSpec } from "../../model/spec.js";
import type { GraphBuilder } from "./graph-builder.js";
import type { FloatType } from "./tensor-types.js";

/** The weights of a graph, by role: "q_proj" of a layer, "norm" of none (null). Adds what it needs to the graph. */
export interface DecoderWeights {
  /** The embedding's, or an own head's, matrix [vocab, H]. */
  table(role: "embed_tokens" | "lm_head"): string;
  /** The head as what multiplies x [.., H], [H, vocab]; null when it is a table of floats. */
  quantizedHead(scope: string): string | null;
  /** A norm's [H]. */
  vector(role: string, layer: number | null): string;
  /** x [.., in] times a linear layer's weight, plus its bias where it has one. */
  linear(role: string, layer: number, scope: string, x: string): string;
}

export interface DecoderContext {
  graph: GraphBuilder;
  spec: ModelSpec;
  type: FloatType;
  weights: DecoderWeights;
}

/** What all layers share. */
export interface SharedValues {
  /** cos and sin of the angles, twice side by side: [B, 1, S, D] */
  keyRotary: Rotary;
  /** The same as [B, 1, 1, S, D]. */
  queryRotary: Rotary;
  /** Added to scores, f32 [B, 1, 1, S, T]: 0 where a token may look, a very negative number where not. */
  bias: string;
}

export interface Rotary {
  cos: string;
  sin: string;
}

/** Names of inputs and outputs. */
export const cacheNames = {
  past: (layer: number, part: "key" | "value"): string => `past_key_values.${layer}.${part}`,
  present: (layer: number, part: "key" | "value"): string => `present.${layer}.${part}`,
} as const;
