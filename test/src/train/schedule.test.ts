import fc from "fast-check";
import { learningRate, scheduleNames, type Schedule } from "../../../src/train/schedule.js";

const schedules = fc
  .record({
    name: fc.constantFrom(...scheduleNames),
    peak: fc.double({ min: 1e-6, max: 1, noNaN: true }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    warmupSteps: fc.integer({ min: 0, max: 50 }),
    stable: fc.integer({ min: 0, max: 50 }),
    decay: fc.integer({ min: 1, max: 100 }),
    after: fc.integer({ min: 0, max: 20 }),
  })
  .map(({ name, peak, share, warmupSteps, stable, decay, after }): Schedule => {
    const common = { name, peak, minimum: peak * share, warmupSteps };
    if (name === "wsd") return { ...common, steps: warmupSteps + stable + decay, decaySteps: decay };
    return { ...common, steps: warmupSteps + decay + after, decaySteps: warmupSteps + decay };
  });

const rates = (schedule: Schedule): number[] =>
  Array.from({ length: schedule.steps }, (_, index) => learningRate(schedule, index + 1));

/** First step at which the minimum holds. */
const endOf = (schedule: Schedule): number => (schedule.name === "wsd" ? schedule.steps : schedule.decaySteps);

describe("learningRate", () => {
  it("rises as peak * t / W and reaches the peak exactly at t = W", () => {
    fc.assert(
      fc.property(schedules, (schedule) => {
        const { peak, warmupSteps } = schedule;
        for (let step = 1; step < warmupSteps; ++step)
          expect(learningRate(schedule, step)).toBe((peak * step) / warmupSteps);
        if (warmupSteps > 0) expect(learningRate(schedule, warmupSteps)).toBe(peak);
      }),
    );
  });

  it("never rises after the warm-up and stays between minimum and peak", () => {
    fc.assert(
      fc.property(schedules, (schedule) => {
        const after = rates(schedule).slice(schedule.warmupSteps);
        for (const [index, rate] of after.entries()) {
          expect(rate).toBeGreaterThanOrEqual(schedule.minimum);
          expect(rate).toBeLessThanOrEqual(schedule.peak);
          if (index > 0) expect(rate).toBeLessThanOrEqual(after[index - 1] as number);
        }
      }),
    );
  });

  it("reaches the minimum exactly when the decay ends, and keeps it", () => {
    fc.assert(
      fc.property(schedules, (schedule) => {
        const last = schedule.name === "constant" ? schedule.peak : schedule.minimum;
        expect(rates(schedule).at(-1)).toBe(last);
        if (schedule.name === "constant") return;
        for (let step = endOf(schedule); step <= schedule.steps; ++step)
          expect(learningRate(schedule, step)).toBe(schedule.minimum);
      }),
    );
  });

  it("is stable in wsd until the decay begins", () => {
    fc.assert(
      fc.property(schedules, (given) => {
        if (given.name !== "wsd") return;
        for (let step = Math.max(1, given.warmupSteps); step <= given.steps - given.decaySteps; ++step)
          expect(learningRate(given, step)).toBe(given.peak);
      }),
    );
  });

  it("has the values of the formulas", () => {
    const base = { peak: 1e-3, minimum: 1e-4, warmupSteps: 10, steps: 110, decaySteps: 110 };
    expect(learningRate({ ...base, name: "cosine" }, 1)).toBeCloseTo(1e-4, 12);
    expect(learningRate({ ...base, name: "cosine" }, 60)).toBeCloseTo((1e-3 + 1e-4) / 2, 12);
    expect(learningRate({ ...base, name: "cosine" }, 35)).toBeCloseTo(
      1e-4 + 9e-4 * 0.5 * (1 + Math.cos(Math.PI / 4)),
      12,
    );
    expect(learningRate({ ...base, name: "linear" }, 35)).toBeCloseTo(1e-3 - 9e-4 / 4, 12);
    expect(learningRate({ ...base, name: "wsd", decaySteps: 20 }, 100)).toBeCloseTo((1e-3 + 1e-4) / 2, 12);
  });
});
