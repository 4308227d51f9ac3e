// SPDX-License-Identifier: Apache-2.0
/** A checkpoint's weights for a decoder's graph, found by role in the family's table and quantized where asked for. */
import type { Checkpoint, CheckpointTensor } from "../../checkpoint/index.js";
import { EspalierError } from "../../errors.js";
import { expectedTensors } from "../../model/families.js";
import type { DecoderWeights } from "./decoder-context.js";
import type { GraphBuilder } from "./graph-builder.js";
import type { QuantizedKind } from "./quantize.js";
import type { FloatType } from "./tensor-types.js";
import { denseInitializer, quantizedInitializers, transposedInitializer } from "./weights.js";

export interface WeightOptions {
  type: FloatType;
  /** Of the layers' matrices; the embedding and an own head stay in `type`. */
  quantize: QuantizedKind | null;
  /** Null: one scale for each output channel. */
  groupSize: number | null;
  signal: AbortSignal | undefined;
}

export class CheckpointWeights implements DecoderWeights {
  readonly #checkpoint: Checkpoint;
  readonly #graph: GraphBuilder;
  readonly #options: WeightOptions;
  /** "q_proj.weight" of layer 3 under "3.q_proj.weight"; those not yet taken. */
  readonly #names: Map<string, string>;

  constructor(checkpoint: Checkpoint, graph: GraphBuilder, options: WeightOptions) {
    this.#checkpoint = checkpoint;
    this.#graph = graph;
    this.#options = options;
    const tensors = expectedTensors(checkpoint.spec);
    this.#names = new Map(tensors.map(({ role, part, layer, name }) => [keyOf(layer, role, part), name]));
  }

  table(role: "embed_tokens" | "lm_head"): string {
    return this.#dense(this.#take(null, role, "weight"));
  }

  vector(role: string, layer: number | null): string {
    return this.#dense(this.#take(layer, role, "weight"));
  }

  linear(role: string, layer: number, scope: string, x: string): string {
    const weight = this.#take(layer, role, "weight");
    const product = this.#graph.node("MatMul", scope, [x, this.#matrix(weight, scope)]);
    if (!this.#names.has(keyOf(layer, role, "bias"))) return product;
    return this.#graph.node("Add", scope, [product, this.#dense(this.#take(layer, role, "bias"))]);
  }

  /** A tensor that the graph has no place for would change the model's results unseen. */
  checkAllTaken(): void {
    const [left] = this.#names.values();
    if (left === undefined) return;
    const { family } = this.#checkpoint.spec;
    throw new EspalierError("ERR_MODEL_FAMILY", `ONNX: family "${family}" has ${left}, which the graph does not use`);
  }

  #take(layer: number | null, role: string, part: "weight" | "bias"): CheckpointTensor {
    const key = keyOf(layer, role, part);
    const tensor = this.#checkpoint.tensors.get(this.#names.get(key) ?? "");
    if (tensor === undefined) throw new EspalierError("ERR_INTERNAL", `${key} vanished`);
    this.#names.delete(key);
    return tensor;
  }

  #dense(tensor: CheckpointTensor): string {
    const { type, signal } = this.#options;
    return this.#graph.initializer(denseInitializer(tensor, type, signal));
  }

  /** [in, out] in the type that is computed in. */
  #matrix(tensor: CheckpointTensor, scope: string): string {
    const { type, quantize, groupSize, signal } = this.#options;
    if (quantize === null) return this.#graph.initializer(transposedInitializer(tensor, type, signal));
    const { codes, scales } = quantizedInitializers(tensor, quantize, groupSize, type, signal);
    const input = [this.#graph.initializer(codes), this.#graph.initializer(scales)];
    const attributes = groupSize === null ? { axis: 1 } : { axis: 0, block_size: groupSize };
    return this.#graph.node("DequantizeLinear", scope, input, attributes);
  }
}

function keyOf(layer: number | null, role: string, part: string): string {
  return `${layer}.${role}.${part}`;
}
