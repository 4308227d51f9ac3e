/** Cuts token ids into the windows of a perplexity. */
import { EspalierError } from "../errors.js";

export interface Window {
  /** First token. */
  begin: number;
  /** Past the last token. */
  end: number;
  /** Index in the window of the first token that counts; those before it are context only. */
  countFrom: number;
}

/**
 * Windows [0, window), [stride, stride + window), ... as long as they are whole. The first token of a window has
 * nothing before it and is never predicted. With stride < window, tokens of an earlier window are context only, so no
 * token counts twice: after the first window, only the last `stride` ones count.
 */
export function cutWindows(tokens: number, window: number, stride: number): Window[] {
  checkSize("window", window, 2);
  checkSize("stride", stride, 1);
  if (stride > window)
    throw new EspalierError("ERR_ARGUMENT", `stride: expected at most the window ${window}, found ${stride}`);
  if (tokens < window)
    throw new EspalierError(
      "ERR_TEXT_TOO_SHORT",
      `text: expected at least ${window} tokens (one window), found ${tokens}`,
    );
  const windows: Window[] = [];
  for (let begin = 0; begin + window <= tokens; begin += stride)
    windows.push({ begin, end: begin + window, countFrom: begin === 0 ? 1 : Math.max(1, window - stride) });
  return windows;
}

function checkSize(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw new EspalierError("ERR_ARGUMENT", `${name}: expected a whole number from ${least}, found ${value}`);
}
