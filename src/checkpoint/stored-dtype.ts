// SPDX-License-Identifier: Apache-2.0
import type { WeightDtype } from "./safetensors-writer.js";
import type { Checkpoint } from "./types.js";

/** What a model made of this one is written in unless told otherwise: as it is stored, f32 where that is quantized or mixed. */
export function storedDtype({ tensors }: Checkpoint): WeightDtype {
  const types = new Set([...tensors.values()].map(({ type }) => type));
  const [only] = types;
  return types.size === 1 && (only === "f16" || only === "bf16") ? only : "f32";
}
