// SPDX-License-Identifier: Apache-2.0
/**
 * A checkpoint's weights for a decoder's graph, found by role in the family's table; quantized where asked for, or as they
 * are already.
 */
import type { Checkpoint, CheckpointTensor } from "../../checkpoint/index.js";
import { EspalierError } from "../../errors.js";
import { expectedTensors } from "../../model/families.js";
import type { DecoderWeights } from "./decoder-context.js";
import type { GraphBuilder } from "./graph-builder.js";
import {
  quantizedInitializers,
  storedInitializers,
  type QuantizedForm,
  type QuantizedInitializers,
} from "./quantized-weights.js";
import type { FloatType, QuantizedKind } from "./tensor-types.js";
import { denseInitializer, transposedInitializer } from "./weights.js";

export interface WeightOptions {
  type: FloatType;
  /** Of the layers' matrices in floats; the embedding stays in `type`. */
  quantize: QuantizedKind | null;
  /** The head's as well. */
  includeHead: boolean;
  /** Null: one scale for each output channel. */
  groupSize: number | null;
  /** Of weights that are quantized already, see storedForms. */
  stored: ReadonlyMap<string, QuantizedForm | null>;
  signal: AbortSignal | undefined;
}

export class CheckpointWeights implements DecoderWeights {
  readonly #checkpoint: Checkpoint;
  readonly #graph: GraphBuilder;
  readonly #options: WeightOptions;
  /** "q_proj.weight" of layer 3 under "3.q_proj.weight". */
  readonly #names: ReadonlyMap<string, string>;
  /** Keys of those that the graph does not use yet. */
  readonly #left: Set<string>;
  readonly #dequantized = new Set<string>();

  constructor(checkpoint: Checkpoint, graph: GraphBuilder, options: WeightOptions) {
    this.#checkpoint = checkpoint;
    this.#graph = graph;
    this.#options = options;
    const tensors = expectedTensors(checkpoint.spec);
    this.#names = new Map(tensors.map(({ role, part, layer, name }) => [keyOf(layer, role, part), name]));
    this.#left = new Set(this.#names.keys());
  }

  /** Names of the weights whose codes the graph does not hold. */
  get dequantized(): readonly string[] {
    return [...this.#dequantized];
  }

  table(role: "embed_tokens" | "lm_head"): string {
    return this.#dense(this.#take(keyOf(null, role, "weight")));
  }

  quantizedHead(scope: string): string | null {
    const key = keyOf(null, this.#checkpoint.spec.tieWordEmbeddings ? "embed_tokens" : "lm_head", "weight");
    const { stored, includeHead } = this.#options;
    const held = (stored.get(this.#names.get(key) ?? "") ?? null) !== null;
    return held || includeHead ? this.#matrix(this.#take(key), scope) : null;
  }

  vector(role: string, layer: number | null): string {
    return this.#dense(this.#take(keyOf(layer, role, "weight")));
  }

  linear(role: string, layer: number, scope: string, x: string): string {
    const weight = this.#take(keyOf(layer, role, "weight"));
    const product = this.#graph.node("MatMul", scope, [x, this.#matrix(weight, scope)]);
    const bias = keyOf(layer, role, "bias");
    return this.#names.has(bias) ? this.#graph.node("Add", scope, [product, this.#dense(this.#take(bias))]) : product;
  }

  /** A tensor that the graph has no place for would change the model's results unseen. */
  checkAllTaken(): void {
    const [left] = this.#left;
    if (left === undefined) return;
    const [name, { family }] = [this.#names.get(left), this.#checkpoint.spec];
    throw new EspalierError("ERR_MODEL_FAMILY", `ONNX: family "${family}" has ${name}, which the graph does not use`);
  }

  #take(key: string): CheckpointTensor {
    const tensor = this.#checkpoint.tensors.get(this.#names.get(key) ?? "");
    if (tensor === undefined) throw new EspalierError("ERR_INTERNAL", `${key} vanished`);
    this.#left.delete(key);
    return tensor;
  }

  #dense(tensor: CheckpointTensor): string {
    const { type, signal } = this.#options;
    if (tensor.quantized !== undefined) this.#dequantized.add(tensor.name);
    return this.#graph.initializer(denseInitializer(tensor, type, signal));
  }

  /** [in, out] in the type that is computed in. */
  #matrix(tensor: CheckpointTensor, scope: string): string {
    const { type, quantize, groupSize, stored, signal } = this.#options;
    const form = stored.get(tensor.name) ?? null;
    if (form !== null) return this.#dequantize(storedInitializers(tensor, form, type, signal), scope);
    if (tensor.quantized !== undefined) this.#dequantized.add(tensor.name);
    if (quantize === null) return this.#graph.initializer(transposedInitializer(tensor, type, signal));
    return this.#dequantize(quantizedInitializers(tensor, { kind: quantize, groupSize }, type, signal), scope);
  }

  #dequantize({ inputs, attributes }: QuantizedInitializers, scope: string): string {
    const names = inputs.map((initializer) => this.#graph.initializer(initializer));
    return this.#graph.node("DequantizeLinear", scope, names, attributes);
  }
}

function keyOf(layer: number | null, role: string, part: "weight" | "bias"): string {
  return `${layer}.${role}.${part}`;
}
