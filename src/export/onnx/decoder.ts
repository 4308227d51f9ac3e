// SPDX-License-Identifier: Apache-2.0
/**
 * The graph of a decoder: token ids, mask, positions and the keys and values so far -> logits and all keys and values, under
 * the names that Optimum uses. Standard operators of opset 21 only.
 *
 * Dimensions: B sequences, S new tokens, T = tokens so far + S, H hidden, K key-value heads, G query heads that share one,
 * D head dimension. `type` is what weights, activations and the cache are in; norms, angles and softmax are in f32.
 */
import { addAttention } from "./attention.js";
import { cacheNames, type DecoderContext, type SharedValues } from "./decoder-context.js";
import { addMask, addRotary } from "./positions.js";
import { tensorTypes } from "./tensor-types.js";

export function addDecoder(context: DecoderContext): void {
  const { graph, spec, type, weights } = context;
  addInputs(context);
  const shared: SharedValues = { ...addRotary(context), bias: addMask(graph) };
  const embedding = weights.table("embed_tokens");
  let x = graph.node("Gather", "/model/embed_tokens", [embedding, "input_ids"]);
  for (let layer = 0; layer < spec.numLayers; ++layer) x = addLayer(context, shared, layer, x);
  const normed = addNorm(context, "norm", null, "/model/norm", x);
  const head = weights.quantizedHead("/lm_head");
  if (head !== null) addQuantizedHead(context, head, normed);
  else addHead(context, spec.tieWordEmbeddings ? embedding : weights.table("lm_head"), normed);
  graph.output("logits", "f32", ["batch_size", "sequence_length", spec.vocabSize]);
  const cacheDims = ["batch_size", spec.numKvHeads, "total_sequence_length", spec.headDim];
  for (let layer = 0; layer < spec.numLayers; ++layer)
    for (const part of ["key", "value"] as const) graph.output(cacheNames.present(layer, part), type, cacheDims);
}

function addInputs({ graph, spec, type }: DecoderContext): void {
  graph.input("input_ids", "int64", ["batch_size", "sequence_length"]);
  graph.input("attention_mask", "int64", ["batch_size", "total_sequence_length"]);
  graph.input("position_ids", "int64", ["batch_size", "sequence_length"]);
  const dims = ["batch_size", spec.numKvHeads, "past_sequence_length", spec.headDim];
  for (let layer = 0; layer < spec.numLayers; ++layer)
    for (const part of ["key", "value"] as const) graph.input(cacheNames.past(layer, part), type, dims);
}

/** x [B, S, H] -> [B, S, H] */
function addLayer(context: DecoderContext, shared: SharedValues, layer: number, x: string): string {
  const { graph } = context;
  const scope = `/model/layers.${layer}`;
  const normed = addNorm(context, "input_layernorm", layer, `${scope}/input_layernorm`, x);
  const attended = addAttention(context, shared, layer, `${scope}/self_attn`, normed);
  const middle = graph.node("Add", scope, [x, attended]);
  const after = addNorm(context, "post_attention_layernorm", layer, `${scope}/post_attention_layernorm`, middle);
  return graph.node("Add", scope, [middle, addFeedForward(context, layer, `${scope}/mlp`, after)]);
}

/** RMS norm in f32, in the operators that onnxruntime fuses into one. x [.., H] */
function addNorm(context: DecoderContext, role: string, layer: number | null, scope: string, x: string): string {
  const { graph, spec, type, weights } = context;
  const wide = graph.cast(scope, x, type, "f32");
  const square = graph.node("Pow", scope, [wide, graph.scalar(2, "f32")]);
  const mean = graph.node("ReduceMean", scope, [square, graph.int64([-1])], { keepdims: 1 });
  const root = graph.node("Sqrt", scope, [graph.node("Add", scope, [mean, graph.scalar(spec.normEps, "f32")])]);
  const unit = graph.cast(scope, graph.node("Div", scope, [wide, root]), "f32", type);
  return graph.node("Mul", scope, [weights.vector(role, layer), unit]);
}

/** SwiGLU: silu(gate) * up, back to [B, S, H]. */
function addFeedForward({ graph, weights }: DecoderContext, layer: number, scope: string, x: string): string {
  const gate = weights.linear("gate_proj", layer, `${scope}/gate_proj`, x);
  const silu = graph.node("Mul", `${scope}/act_fn`, [gate, graph.node("Sigmoid", `${scope}/act_fn`, [gate])]);
  const up = weights.linear("up_proj", layer, `${scope}/up_proj`, x);
  return weights.linear("down_proj", layer, `${scope}/down_proj`, graph.node("Mul", scope, [silu, up]));
}

/**
 * Logits, f32 whatever the model is in. Gemm reads the matrix [vocab, H] as it is, so that a tied one is there once; it
 * takes matrices only, so tokens of all sequences stand below one another.
 */
function addHead(context: DecoderContext, matrix: string, x: string): void {
  const { graph, spec, type } = context;
  const scope = "/lm_head";
  const tokens = graph.node("Reshape", scope, [x, graph.int64([-1, spec.hiddenSize])]);
  const scores = graph.node("Gemm", scope, [tokens, matrix], { transB: 1 });
  const sizes = graph.node("Shape", scope, ["input_ids"]);
  const shape = graph.node("Concat", scope, [sizes, graph.int64([spec.vocabSize])], { axis: 0 });
  graph.node("Reshape", scope, [graph.cast(scope, scores, type, "f32"), shape], {}, "logits");
}

/** The same for a matrix [H, vocab] of codes, in front of which runtimes look for MatMul. */
function addQuantizedHead({ graph, type }: DecoderContext, matrix: string, x: string): void {
  const scope = "/lm_head";
  if (type === "f32") graph.node("MatMul", scope, [x, matrix], {}, "logits");
  else graph.node("Cast", scope, [graph.node("MatMul", scope, [x, matrix])], { to: tensorTypes.f32 }, "logits");
}
