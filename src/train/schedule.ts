// SPDX-License-Identifier: Apache-2.0
/**
 * Learning-rate schedules: a function of the step alone, so that nothing of it has to be kept in a checkpoint.
 */

export const scheduleNames = ["cosine", "linear", "constant", "wsd"] as const;

export type ScheduleName = (typeof scheduleNames)[number];

export interface Schedule {
  name: ScheduleName;
  /** Reached at step `warmupSteps`. */
  peak: number;
  minimum: number;
  warmupSteps: number;
  /** Of the whole run. */
  steps: number;
  /** cosine, linear: the step at which the minimum is reached. wsd: steps of the decay that ends the run. */
  decaySteps: number;
}

/** The learning rate of update `step`, counted from 1. Warm-up: peak * t / W for t = 1 ... W. */
export function learningRate(schedule: Schedule, step: number): number {
  const { name, peak, minimum, warmupSteps, steps, decaySteps } = schedule;
  if (step <= warmupSteps) return step === warmupSteps ? peak : (peak * step) / warmupSteps;
  switch (name) {
    case "constant":
      return peak;
    case "cosine": {
      if (step >= decaySteps) return minimum;
      const share = (step - warmupSteps) / (decaySteps - warmupSteps);
      return within(schedule, minimum + ((peak - minimum) * (1 + Math.cos(Math.PI * share))) / 2);
    }
    case "linear":
      return falling(schedule, step, warmupSteps, decaySteps);
    case "wsd":
      return falling(schedule, step, steps - decaySteps, steps);
  }
}

/** The peak up to step `from`, the minimum at step `to` and beyond, a straight line between. */
function falling(schedule: Schedule, step: number, from: number, to: number): number {
  const { peak, minimum } = schedule;
  if (step >= to) return minimum;
  if (step <= from) return peak;
  return within(schedule, peak + (minimum - peak) * ((step - from) / (to - from)));
}

/** Rounding must not lead out of the range. */
function within({ peak, minimum }: Schedule, rate: number): number {
  return Math.min(peak, Math.max(minimum, rate));
}
