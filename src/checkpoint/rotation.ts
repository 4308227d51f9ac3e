// SPDX-License-Identifier: Apache-2.0
/**
 * Rotated models (QuaRot, arXiv 2404.00456, the rotation R1): the residual stream is multiplied by a fixed orthogonal
 * matrix R, which spreads the few outlier channels of a language model over all of them, so that activations quantize
 * with far less loss. The model's function does not change, for RMSNorm keeps a row's length and R keeps it too: what
 * reads the stream becomes (W · diag(gain)) R with the norm before it set to 1, what writes it Rᵀ W.
 */
import type { WeightTransform } from "../binding.js";
import { EspalierError } from "../errors.js";
import { isPlainPreNorm, type ExpectedTensor } from "../model/families.js";
import type { ModelSpec } from "../model/spec.js";
import type { Checkpoint } from "./types.js";

/** Norm whose gain is folded into each layer that reads the residual stream. */
const READERS: Readonly<Record<string, string>> = {
  q_proj: "input_layernorm",
  k_proj: "input_layernorm",
  v_proj: "input_layernorm",
  gate_proj: "post_attention_layernorm",
  up_proj: "post_attention_layernorm",
  lm_head: "norm",
};
const WRITERS: ReadonlySet<string> = new Set(["o_proj", "down_proj"]);
const NORMS: ReadonlySet<string> = new Set(Object.values(READERS));

/** ERR_ARGUMENT unless the family's blocks are what `rotationTransform` takes them for. */
export function checkRotatable({ family }: Pick<ModelSpec, "family">, path: string, argument: string): void {
  if (isPlainPreNorm(family)) return;
  throw new EspalierError(
    "ERR_ARGUMENT",
    `${argument}: expected a family whose residual stream is read through plain RMSNorms alone, ${path} is ${family}`,
  );
}

/**
 * What to fold into a tensor of a rotated model; undefined for those that stay as they are. A head that is the embedding
 * becomes a tensor of its own. With `rotated` "layers", embedding and head stay: whoever runs the layers rotates between.
 */
export function rotationTransform(
  checkpoint: Checkpoint,
  expected: readonly ExpectedTensor[],
  tensor: ExpectedTensor,
  rotated: "layers" | "all",
): WeightTransform | undefined {
  if (tensor.layer === null && rotated === "layers") return undefined;
  if (tensor.role === "embed_tokens") return { rotateColumns: true };
  if (WRITERS.has(tensor.role)) return { rotateRows: true };
  if (NORMS.has(tensor.role)) return { fill: 1 };
  const norm = READERS[tensor.role];
  if (norm === undefined || tensor.part === "bias") return undefined;
  const gain = expected.find((other) => other.role === norm && other.layer === tensor.layer);
  const source = checkpoint.tensors.get(gain?.name ?? "");
  if (source === undefined) throw new EspalierError("ERR_INTERNAL", `${tensor.name}: the norm before it vanished`);
  return { columnScale: { file: source.mapped, source }, rotateColumns: true };
}
