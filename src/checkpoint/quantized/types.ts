// SPDX-License-Identifier: Apache-2.0
/**
 * Quantized weights of a checkpoint: several stored tensors that readers see as one of ordinary shape.
 */
import type { QuantizedSource } from "../../binding.js";
import type { ExpectedTensor } from "../../model/families.js";
import type { CheckpointTensor } from "../types.js";

/** What inputs of a quantized layer are rounded to. */
export interface Activations {
  type: "int" | "float";
  strategy: "tensor" | "token" | "group";
  /** false: by a fixed scale that the checkpoint holds. */
  dynamic: boolean;
}

/** How one weight is stored, but for its parts, which the layout names. */
export interface QuantizedWeight extends Omit<QuantizedSource, "parts" | "rows" | "cols"> {
  /** null: they stay as they are. */
  activations: Activations | null;
}

/** A method of quantization_config, as a checkpoint uses it. */
export interface QuantizedModel {
  /** For messages: "compressed-tensors". */
  method: string;
  /** How the module's weight is stored; null when it is not quantized. ERR_QUANT_CONFIG. */
  weightOf(module: QuantizedModule): QuantizedWeight | null | Promise<QuantizedWeight | null>;
}

/** A matrix of the family and what the files hold under its name. */
export interface QuantizedModule {
  /** "model.layers.0.self_attn.q_proj" */
  name: string;
  expected: ExpectedTensor;
  rows: number;
  cols: number;
  /** The stored tensor `name.suffix`. */
  stored(suffix: string): CheckpointTensor | undefined;
}
