// SPDX-License-Identifier: Apache-2.0
/**
 * Grouped-query attention over a cache. The G query heads of a key-value head are a dimension of their own, along which
 * MatMul repeats keys and values without a copy. Dimensions as in decoder.ts.
 */
import { cacheNames, type DecoderContext, type Rotary, type SharedValues } from "./decoder-context.js";
import type { GraphBuilder } from "./graph-builder.js";

/** x [B, S, H] -> [B, S, H]; writes the layer's present keys and values. */
export function addAttention(
  context: DecoderContext,
  shared: SharedValues,
  layer: number,
  scope: string,
  x: string,
): string {
  const { graph, spec, type, weights } = context;
  const query = addQuery(context, shared, layer, scope, x); // [B, K, G, S, D]
  const { keys, values } = addKeysAndValues(context, shared, layer, scope, x); // [B, K, T, D]
  const columns = graph.node("Transpose", scope, [keys], { perm: [0, 1, 3, 2] });
  const repeated = (value: string): string => graph.node("Unsqueeze", scope, [value, graph.int64([2])]);
  const product = graph.node("MatMul", scope, [query, repeated(columns)]); // [B, K, G, S, T]
  const scores = graph.node("Add", scope, [graph.cast(scope, product, type, "f32"), shared.bias]);
  const shares = graph.cast(scope, graph.node("Softmax", scope, [scores], { axis: -1 }), "f32", type);
  const mixed = graph.node("MatMul", scope, [shares, repeated(values)]); // [B, K, G, S, D]
  const byToken = graph.node("Transpose", scope, [mixed], { perm: [0, 3, 1, 2, 4] });
  const joined = graph.node("Reshape", scope, [byToken, graph.int64([0, 0, spec.numHeads * spec.headDim])]);
  return weights.linear("o_proj", layer, `${scope}/o_proj`, joined);
}

/** Rotated and divided by sqrt(D) before the product, which in f16 might overflow otherwise. */
function addQuery(
  { graph, spec, type, weights }: DecoderContext,
  { queryRotary }: SharedValues,
  layer: number,
  scope: string,
  x: string,
): string {
  const { numKvHeads, numHeads, headDim } = spec;
  const flat = weights.linear("q_proj", layer, `${scope}/q_proj`, x);
  const shape = graph.int64([0, 0, numKvHeads, numHeads / numKvHeads, headDim]);
  const heads = graph.node("Transpose", scope, [graph.node("Reshape", scope, [flat, shape])], {
    perm: [0, 2, 3, 1, 4],
  });
  const rotated = addRotation(graph, scope, heads, queryRotary);
  return graph.node("Mul", scope, [rotated, graph.scalar(1 / Math.sqrt(headDim), type)]);
}

function addKeysAndValues(
  { graph, spec, weights }: DecoderContext,
  { keyRotary }: SharedValues,
  layer: number,
  scope: string,
  x: string,
): { keys: string; values: string } {
  const shape = graph.int64([0, 0, spec.numKvHeads, spec.headDim]);
  const headsOf = (role: string): string => {
    const flat = weights.linear(role, layer, `${scope}/${role}`, x);
    return graph.node("Transpose", scope, [graph.node("Reshape", scope, [flat, shape])], { perm: [0, 2, 1, 3] });
  };
  const append = (part: "key" | "value", added: string): string =>
    graph.node("Concat", scope, [cacheNames.past(layer, part), added], { axis: 2 }, cacheNames.present(layer, part));
  return {
    keys: append("key", addRotation(graph, scope, headsOf("k_proj"), keyRotary)),
    values: append("value", headsOf("v_proj")),
  };
}

/** x * cos + (-second half, first half) * sin, along D. */
function addRotation(graph: GraphBuilder, scope: string, x: string, { cos, sin }: Rotary): string {
  const [first, second] = graph.split("Split", scope, [x], { axis: -1, num_outputs: 2 }, 2) as [string, string];
  const turned = graph.node("Concat", scope, [graph.node("Neg", scope, [second]), first], { axis: -1 });
  return graph.node("Add", scope, [graph.node("Mul", scope, [x, cos]), graph.node("Mul", scope, [turned, sin])]);
}
