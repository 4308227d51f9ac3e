// SPDX-License-Identifier: Apache-2.0
/**
 * The KV cache that a checkpoint asks for, with its fixed scales, for engine.json.
 */
import { readTensor, type Checkpoint } from "../checkpoint/index.js";
import { EspalierError } from "../errors.js";
import { kvCacheSchemeOf, kvScaleNames } from "../model/kv-cache-scheme.js";
import type { KvCache } from "./kv-cache.js";

/** undefined when it asks for none. ERR_MODEL_CONFIG, ERR_CHECKPOINT_TENSORS, ERR_SHAPE, ERR_WEIGHT_VALUE. */
export async function kvCacheOfModel(checkpoint: Checkpoint): Promise<KvCache | undefined> {
  const scheme = kvCacheSchemeOf(checkpoint.config, `${checkpoint.path}: config.json`);
  if (scheme === null) return undefined;
  if (scheme.scale === "token") return scheme;
  const scales: NonNullable<KvCache["scales"]> = { keys: [], values: [] };
  for (let layer = 0; layer < checkpoint.spec.numLayers; ++layer) {
    const names = kvScaleNames(layer);
    scales.keys.push(await readScales(checkpoint, names.keys));
    scales.values.push(await readScales(checkpoint, names.values));
  }
  return { ...scheme, scales };
}

/** One number for each kv head; a tensor of one number is all heads'. */
async function readScales({ tensors, spec, path }: Checkpoint, name: string): Promise<number[]> {
  const tensor = tensors.get(name);
  if (tensor === undefined)
    throw new EspalierError(
      "ERR_CHECKPOINT_TENSORS",
      `${path}: quantization_config.kv_cache_scheme: expected fixed scales, but the tensor "${name}" is missing`,
    );
  const count = tensor.shape.reduce((product, size) => product * size, 1);
  if (count !== 1 && (count !== spec.numKvHeads || tensor.shape[0] !== count))
    throw new EspalierError(
      "ERR_SHAPE",
      `${tensor.file}: "${name}": expected [1] or [${spec.numKvHeads}, 1, 1], found [${tensor.shape.join(", ")}]`,
    );
  const values = Array.from(await readTensor(tensor));
  const bad = values.find((value) => !(value >= 2 ** -126 && Number.isFinite(value)));
  if (bad !== undefined)
    throw new EspalierError("ERR_WEIGHT_VALUE", `${tensor.file}: "${name}": expected numbers above 0, found ${bad}`);
  return count === 1 ? Array.from({ length: spec.numKvHeads }, () => values[0]!) : values;
}
