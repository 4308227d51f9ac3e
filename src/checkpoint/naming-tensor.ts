// SPDX-License-Identifier: Apache-2.0
import { EspalierError, toEspalierError } from "../errors.js";
import type { CheckpointTensor } from "./types.js";

/**
 * What `work` on a tensor gives; its errors name the file and the tensor.
 *
 * @example await namingTensor(tensor, () => binding.packTensor(tensor.mapped, tensor, "int8"))
 */
export async function namingTensor<T>(tensor: CheckpointTensor, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const known = toEspalierError(error);
    if (!(known instanceof EspalierError)) throw known;
    throw new EspalierError(known.code, `${tensor.file}: tensor ${tensor.sourceName}: ${known.message}`, {
      hint: known.hint,
      cause: known,
    });
  }
}
