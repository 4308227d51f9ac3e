// SPDX-License-Identifier: Apache-2.0
/**
 * An engine without some of its layers, over the same weights: what a model pruned by these layers would be.
 */
import { EspalierError } from "../errors.js";
import type { EngineManifest } from "./engine-directory.js";

/** The manifest without layers [begin, end); later layers move up. ERR_ARGUMENT. */
export function withoutLayers(manifest: EngineManifest, [begin, end]: readonly [number, number]): EngineManifest {
  const { numLayers } = manifest.spec;
  const whole = Number.isSafeInteger(begin) && Number.isSafeInteger(end);
  if (!whole || begin < 0 || begin > end || end > numLayers || end - begin >= numLayers)
    throw new EspalierError(
      "ERR_ARGUMENT",
      `skipLayers: expected [begin, end) inside the ${numLayers} layers that leaves one at least, found [${begin}, ${end})`,
    );
  const tensors = manifest.tensors.flatMap((tensor) => {
    const { layer } = tensor;
    if (layer === undefined || layer < begin) return [tensor];
    return layer < end ? [] : [{ ...tensor, layer: layer - (end - begin) }];
  });
  const spec = { ...manifest.spec, numLayers: numLayers - (end - begin) };
  return { ...manifest, spec, tensors, ...kvCacheWithout(manifest, begin, end) };
}

function kvCacheWithout({ kvCache }: EngineManifest, begin: number, end: number): Pick<EngineManifest, "kvCache"> {
  if (kvCache?.scales === undefined) return {};
  const keep = <T>(layers: T[]): T[] => layers.filter((_, layer) => layer < begin || layer >= end);
  const { keys, values } = kvCache.scales;
  return { kvCache: { ...kvCache, scales: { keys: keep(keys), values: keep(values) } } };
}
