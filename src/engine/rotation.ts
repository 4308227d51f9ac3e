/**
 * Rotated engines (QuaRot, arXiv 2404.00456): the residual stream is multiplied by a fixed orthogonal matrix, which
 * spreads the few outlier channels of a language model over all of them, so that activations quantize to int8 with far
 * less loss. The model's function does not change: what reads the stream is packed as (W · diag(gain)) R with the norm
 * before it set to 1, what writes it as Rᵀ W. Embedding and head stay as they are; the engine rotates between.
 */
import type { PackTransform } from "../binding.js";
import type { Checkpoint, CheckpointTensor } from "../checkpoint/index.js";
import type { ExpectedTensor } from "../model/families.js";

/** Norm whose gain is folded into each layer that reads the residual stream. */
const READERS: Record<string, string> = {
  q_proj: "input_layernorm",
  k_proj: "input_layernorm",
  v_proj: "input_layernorm",
  gate_proj: "post_attention_layernorm",
  up_proj: "post_attention_layernorm",
};
const WRITERS = new Set(["o_proj", "down_proj"]);

/** What to fold into a tensor of a rotated engine; undefined for those that stay as they are. */
export function rotationTransform(
  checkpoint: Checkpoint,
  expected: readonly ExpectedTensor[],
  tensor: ExpectedTensor,
): PackTransform | undefined {
  if (tensor.layer === null) return undefined;
  if (WRITERS.has(tensor.role)) return { rotateRows: true };
  if (Object.values(READERS).includes(tensor.role)) return { fill: 1 };
  const norm = READERS[tensor.role];
  if (norm === undefined || tensor.part === "bias") return undefined;
  const gain = expected.find((other) => other.role === norm && other.layer === tensor.layer);
  const source = checkpoint.tensors.get(gain?.name ?? "") as CheckpointTensor;
  return { columnScale: { file: source.mapped, source }, rotateColumns: true };
}
