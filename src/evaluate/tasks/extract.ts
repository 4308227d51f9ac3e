/**
 * Takes the number out of a worked answer and compares it, as lm-evaluation-harness does for GSM8K.
 */
import { strip } from "./python-text.js";

/** What the harness puts where no number is. */
const NO_ANSWER = "[invalid]";

/** strict-match: the first number after "#### ". */
export function extractMarked(answer: string): string {
  return strip(/#### (-?[0-9.,]+)/.exec(answer)?.[1] ?? NO_ANSWER);
}

/** flexible-extract: the last thing that looks like a number. */
export function extractLast(answer: string): string {
  return strip([...answer.matchAll(/-?[$0-9.,]{2,}|-?[0-9]+/g)].at(-1)?.[0] ?? NO_ANSWER);
}

/** 1 when both are the same without thousands separators, dollar signs, the reasoning before "#### " and a last dot. */
export function exactMatch(answer: string, target: string): number {
  return normalize(answer) === normalize(target) ? 1 : 0;
}

function normalize(text: string): string {
  return text
    .replaceAll(",", "")
    .replaceAll("$", "")
    .replace(/[^]*#### /, "")
    .replace(/\.(?=\n?$)/, "")
    .toLowerCase();
}
