/**
 * Token times of one wave of requests -> the figures of the wave. Pure arithmetic; times are in milliseconds on one clock.
 */
import { median, percentile } from "./statistics.js";

/** One request: when it was handed in, and when each of its tokens came out. */
export interface RequestTimes {
  handedInMs: number;
  tokenMs: number[];
}

export interface WaveFigures {
  ttftMs: number;
  tpotMs: number | null;
  /** Every gap between neighbouring tokens of a request. */
  gapsMs: number[];
  /** Until every request had its first token. */
  prefillMs: number;
  /** Until the last token. */
  totalMs: number;
  decodeTokensPerSecond: number | null;
  /** Time of one decode step of the whole batch. */
  stepMs: number | null;
  overlap: "full" | "partial" | null;
}

/** Fewer steps with all requests decoding than this share of OSL - 1 are too few to speak for the decode phase. */
const MIN_FULL_SHARE = 0.25;

export function waveFigures(requests: readonly RequestTimes[]): WaveFigures {
  const start = Math.min(...requests.map((request) => request.handedInMs));
  const firsts = requests.map((request) => request.tokenMs[0] as number);
  const lasts = requests.map((request) => request.tokenMs.at(-1) as number);
  const tpots = requests.flatMap((request, index) => {
    const steps = request.tokenMs.length - 1;
    return steps === 0 ? [] : [((lasts[index] as number) - (firsts[index] as number)) / steps];
  });
  return {
    ttftMs: median(requests.map((request, index) => (firsts[index] as number) - request.handedInMs)) as number,
    tpotMs: median(tpots),
    gapsMs: requests.flatMap((request) => gaps(request.tokenMs)),
    prefillMs: Math.max(...firsts) - start,
    totalMs: Math.max(...lasts) - start,
    ...decodePhase(requests, firsts, lasts),
  };
}

function gaps(times: readonly number[]): number[] {
  return times.slice(1).map((time, index) => time - (times[index] as number));
}

/**
 * The decode phase is the span in which every request is decoding: from the last first token to the earliest last
 * token. A continuous-batching engine may finish early requests before late ones have begun; the phase is then the
 * span of all decoding, prompts of others included, and is called partial.
 */
function decodePhase(
  requests: readonly RequestTimes[],
  firsts: readonly number[],
  lasts: readonly number[],
): Pick<WaveFigures, "decodeTokensPerSecond" | "stepMs" | "overlap"> {
  const steps = (requests[0]?.tokenMs.length ?? 0) - 1;
  if (steps < 1) return { decodeTokensPerSecond: null, stepMs: null, overlap: null };
  const full = rateBetween(requests, Math.max(...firsts), Math.min(...lasts));
  if (full !== null && full.tokens >= MIN_FULL_SHARE * steps * requests.length)
    return { ...rates(full, requests.length), overlap: "full" };
  const whole = rateBetween(requests, Math.min(...firsts), Math.max(...lasts));
  return whole === null
    ? { decodeTokensPerSecond: null, stepMs: null, overlap: null }
    : { ...rates(whole, requests.length), overlap: "partial" };
}

/** Tokens that are not a request's first, in (from, to]. null when the span is empty. */
function rateBetween(
  requests: readonly RequestTimes[],
  from: number,
  to: number,
): { tokens: number; milliseconds: number } | null {
  if (!(to > from)) return null;
  let tokens = 0;
  for (const { tokenMs } of requests) for (const time of tokenMs.slice(1)) if (time > from && time <= to) tokens += 1;
  return { tokens, milliseconds: to - from };
}

function rates(
  span: { tokens: number; milliseconds: number },
  batch: number,
): { decodeTokensPerSecond: number; stepMs: number } {
  return {
    decodeTokensPerSecond: (1000 * span.tokens) / span.milliseconds,
    stepMs: (span.milliseconds * batch) / span.tokens,
  };
}

/** 50th, 90th and 99th percentile of the gaps of several waves. */
export function gapPercentiles(waves: readonly WaveFigures[]): {
  p50: number | null;
  p90: number | null;
  p99: number | null;
} {
  const all = waves.flatMap((wave) => wave.gapsMs);
  return { p50: percentile(all, 0.5), p90: percentile(all, 0.9), p99: percentile(all, 0.99) };
}
