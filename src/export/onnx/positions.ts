// SPDX-License-Identifier: Apache-2.0
/** What depends on positions alone, once a graph: rotary cos and sin, and the mask. Dimensions as in decoder.ts. */
import { dynamicExponents, ropeFrequencies } from "../../model/rope-frequencies.js";
import type { DecoderContext, SharedValues } from "./decoder-context.js";
import type { GraphBuilder } from "./graph-builder.js";
import { encodeFloats } from "./small-float.js";

/** Added to the scores of tokens that must not be seen: beyond any score, and finite, so that a row of them is no NaN. */
const HIDDEN_SCORE = -1e30;

/**
 * Angles are positions times frequencies, in f32 as transformers has them. No table: any number of positions works, and the
 * frequencies of dynamic scaling may depend on how many there are.
 */
export function addRotary(context: DecoderContext): Pick<SharedValues, "keyRotary" | "queryRotary"> {
  const { graph, spec, type } = context;
  const scope = "/model/rotary_emb";
  const position = graph.cast(scope, "position_ids", "int64", "f32");
  const column = graph.node("Unsqueeze", scope, [position, graph.int64([-1])]);
  const angle = graph.node("Mul", scope, [column, addFrequencies(context, scope, position)]); // [B, S, D / 2]
  const twice = graph.node("Concat", scope, [angle, angle], { axis: -1 });
  const { magnitude } = ropeFrequencies(spec.rope, spec.maxPositions);
  const [cos, sin] = ["Cos", "Sin"].map((op) => {
    const plain = graph.node(op, scope, [twice]);
    const value = magnitude === 1 ? plain : graph.node("Mul", scope, [plain, graph.scalar(magnitude, "f32")]);
    return graph.cast(scope, value, "f32", type);
  }) as [string, string];
  const over = (value: string, axes: number[]): string => graph.node("Unsqueeze", scope, [value, graph.int64(axes)]);
  return {
    keyRotary: { cos: over(cos, [1]), sin: over(sin, [1]) },
    queryRotary: { cos: over(cos, [1, 2]), sin: over(sin, [1, 2]) },
  };
}

/** [D / 2] f32 */
function addFrequencies({ graph, spec }: DecoderContext, scope: string, position: string): string {
  const { rope, maxPositions } = spec;
  const inverse = vector(graph, "model.rotary_emb.inv_freq", ropeFrequencies(rope, maxPositions).inverse);
  const exponents = dynamicExponents(rope);
  if (exponents === null) return inverse;
  // stretch = factor * max(length, maxPositions) / maxPositions - (factor - 1), which is 1 up to maxPositions
  const { factor = 1 } = rope;
  const last = graph.node("ReduceMax", scope, [position], { keepdims: 0 });
  const length = graph.node("Add", scope, [last, graph.scalar(1, "f32")]);
  const longer = graph.node("Max", scope, [length, graph.scalar(maxPositions, "f32")]);
  const beyond = graph.node("Sub", scope, [longer, graph.scalar(maxPositions, "f32")]);
  const share = graph.node("Mul", scope, [beyond, graph.scalar(factor / maxPositions, "f32")]);
  const stretch = graph.node("Add", scope, [share, graph.scalar(1, "f32")]);
  const exponent = vector(graph, "model.rotary_emb.exponents", exponents);
  return graph.node("Mul", scope, [inverse, graph.node("Pow", scope, [stretch, exponent])]);
}

/**
 * f32 [B, 1, 1, S, T]: token i of the S new ones stands at T - S + i and sees what attention_mask lets it see up to there.
 */
export function addMask(graph: GraphBuilder): string {
  const scope = "/model/mask";
  const one = graph.int64(1);
  const sizeOf = (input: string): string => {
    const sizes = graph.node("Shape", scope, [input]);
    return graph.node("Gather", scope, [sizes, one]);
  };
  const total = sizeOf("attention_mask");
  const first = graph.node("Sub", scope, [total, sizeOf("input_ids")]);
  const keyPlace = graph.node("Range", scope, [graph.int64(0), total, one]);
  const queryPlace = graph.node("Range", scope, [first, total, one]);
  const queryColumn = graph.node("Unsqueeze", scope, [queryPlace, graph.int64([-1])]);
  const causal = graph.node("LessOrEqual", scope, [keyPlace, queryColumn]); // [S, T]
  const given = graph.cast(scope, "attention_mask", "int64", "bool");
  const allowed = graph.node("And", scope, [
    causal,
    graph.node("Unsqueeze", scope, [given, graph.int64([1, 2, 3])]), // [B, 1, 1, 1, T]
  ]);
  return graph.node("Where", scope, [allowed, graph.scalar(0, "f32"), graph.scalar(HIDDEN_SCORE, "f32")]);
}

function vector(graph: GraphBuilder, name: string, values: Float32Array): string {
  const pieces = (): Uint8Array[] => [encodeFloats("f32", values)];
  return graph.initializer({ name, type: "f32", dims: [values.length], constant: true, pieces });
}
