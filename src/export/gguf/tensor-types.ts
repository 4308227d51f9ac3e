// SPDX-License-Identifier: Apache-2.0
/**
 * Which type each tensor of a GGUF file gets: llama-quantize's choices, without an importance matrix.
 */
import { ggmlTypes } from "../../checkpoint/gguf-types.js";
import { EspalierError } from "../../errors.js";
import type { ExpectedTensor } from "../../model/families.js";
import type { ModelSpec } from "../../model/spec.js";
import { nearestHint } from "../../nearest.js";

export interface GgufFileType {
  id: string;
  /** general.file_type, llama.cpp's number of the mixture. */
  number: number;
  /** Some tensors get more bits than the others. */
  mixed: boolean;
}

export const ggufFileTypes: readonly GgufFileType[] = [
  { id: "f32", number: 0, mixed: false },
  { id: "f16", number: 1, mixed: false },
  { id: "bf16", number: 32, mixed: false },
  { id: "q8_0", number: 7, mixed: false },
  { id: "q4_0", number: 2, mixed: true },
  { id: "q4_1", number: 3, mixed: true },
  { id: "q5_0", number: 8, mixed: true },
  { id: "q5_1", number: 9, mixed: true },
  { id: "q4_k", number: 15, mixed: true }, // Q4_K_M
  { id: "q5_k", number: 17, mixed: true }, // Q5_K_M
  { id: "q6_k", number: 18, mixed: true },
];

/** ERR_ARGUMENT when there is none of that id. */
export function ggufFileType(id: string): GgufFileType {
  const known = ggufFileTypes.map((type) => type.id);
  const type = ggufFileTypes.find((row) => row.id === id);
  if (type !== undefined) return type;
  throw new EspalierError(
    "ERR_ARGUMENT",
    `type: expected one of ${known.join(", ")}, found "${id}"${nearestHint(id, known)}`,
  );
}

/** What is used where rows are no multiple of a type's block; f16 where there is no row. */
const fallbacks: ReadonlyMap<string, string> = new Map([
  ["q4_k", "q5_0"],
  ["q5_k", "q5_1"],
  ["q6_k", "q8_0"],
]);

export interface TensorType {
  /** What the tensor gets. */
  type: string;
  /** What it would have got if its rows were a multiple of the block. */
  wanted: string;
}

export function tensorTypeOf(tensor: ExpectedTensor, spec: ModelSpec, file: GgufFileType, pure: boolean): TensorType {
  const columns = tensor.shape[1];
  if (columns === undefined) return { type: "f32", wanted: "f32" }; // norms and biases
  const wanted = file.mixed && !pure ? mixedType(tensor, spec, file.id) : file.id;
  let type = wanted;
  while (columns % blockOf(type) !== 0) type = fallbacks.get(type) ?? "f16";
  return { type, wanted };
}

function blockOf(name: string): number {
  for (const type of ggmlTypes.values()) if (type.name === name) return type.blockElements;
  throw new EspalierError("ERR_INTERNAL", `no GGUF type ${name}`);
}

function mixedType({ role, layer }: ExpectedTensor, spec: ModelSpec, type: string): string {
  const makesLogits = role === "lm_head" || (role === "embed_tokens" && spec.tieWordEmbeddings);
  if (makesLogits) return "q6_k";
  if (type !== "q4_k" && type !== "q5_k") return type;
  const sensitive = role === "v_proj" || role === "down_proj";
  if (sensitive && deservesMoreBits(layer ?? 0, spec.numLayers)) return "q6_k";
  // Llama 70B: eight heads share a v_proj, so more bits there cost little.
  const is70B = spec.numLayers === 80 && spec.numHeads !== spec.numKvHeads;
  return role === "v_proj" && is70B && type === "q4_k" ? "q5_k" : type;
}

/** The first and last eighth of the layers, and every third one between. */
function deservesMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}
