// SPDX-License-Identifier: Apache-2.0
/**
 * Rotary frequencies for files that carry them: what native/model/rope_frequencies.cpp computes, in the same order of
 * operations, so that both round to the same f32.
 */
import { llama3Factors } from "./rope.js";
import type { RopeSpec } from "./spec.js";

export interface RopeFrequencies {
  /** [rotaryDim / 2], radians a position, for sequences up to the model's own length. */
  inverse: Float32Array;
  /** cos and sin are multiplied by this. */
  magnitude: number;
}

/** `maxPositions` is the model's, which stands in for the original length where a spec has none. */
export function ropeFrequencies(rope: RopeSpec, maxPositions: number): RopeFrequencies {
  const full = { ...rope, originalMaxPositions: rope.originalMaxPositions ?? maxPositions };
  const inverse = Array.from({ length: rope.rotaryDim / 2 }, (_, i) => rope.theta ** ((-2 * i) / rope.rotaryDim));
  return {
    inverse: Float32Array.from(scaled(full, inverse)),
    magnitude: rope.type === "yarn" ? Math.fround(yarnMagnitude(rope)) : 1,
  };
}

/**
 * Dynamic NTK: beyond maxPositions tokens the frequency i is multiplied by stretch ** exponent[i], where
 * stretch = factor * length / maxPositions - (factor - 1). Null for the other kinds.
 */
export function dynamicExponents(rope: RopeSpec): Float32Array | null {
  if (rope.type !== "dynamic") return null;
  const exponent = (i: number): number => (i === 0 ? 0 : (-2 * i) / (rope.rotaryDim - 2));
  return Float32Array.from({ length: rope.rotaryDim / 2 }, (_, i) => exponent(i));
}

type FullRope = RopeSpec & { originalMaxPositions: number };

function scaled(rope: FullRope, inverse: number[]): number[] {
  const { type, factor = 1 } = rope;
  if (type === "linear") return inverse.map((frequency) => frequency / factor);
  if (type === "llama3") {
    const factors = llama3Factors(rope);
    return inverse.map((frequency, i) => frequency / factors[i]!);
  }
  return type === "yarn" ? yarnScaled(rope, inverse) : inverse;
}

/** Peng et al., arXiv 2309.00071, eq. 17-23 */
function yarnScaled(rope: FullRope, inverse: number[]): number[] {
  const { theta, rotaryDim, factor = 1, betaFast = 32, betaSlow = 1, truncate = true, originalMaxPositions } = rope;
  const correctionDim = (rotations: number): number =>
    (rotaryDim * Math.log(originalMaxPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  let low = correctionDim(betaFast);
  let high = correctionDim(betaSlow);
  if (truncate) [low, high] = [Math.floor(low), Math.ceil(high)];
  low = Math.max(low, 0);
  high = Math.min(high, rotaryDim - 1);
  if (low === high) high += 0.001;
  return inverse.map((frequency, i) => {
    const ramp = Math.min(Math.max((i - low) / (high - low), 0), 1);
    return (frequency / factor) * ramp + frequency * (1 - ramp);
  });
}

function yarnMagnitude({ attentionFactor = 0, factor = 1, mscale = 0, mscaleAllDim = 0 }: RopeSpec): number {
  const scale = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  if (attentionFactor > 0) return attentionFactor;
  return mscale > 0 && mscaleAllDim > 0 ? scale(mscale) / scale(mscaleAllDim) : scale(1);
}
