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
  return { ...manifest, spec: { ...manifest.spec, numLayers: numLayers - (end - begin) }, tensors };
}
