/**
 * Parsers of option values: a bad one is wrong usage (exit 2) that names the option.
 */
import { InvalidArgumentError } from "commander";

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError("expected a whole number that is not negative.");
  return value;
}

export function positiveNumber(text: string): number {
  const value = wholeNumber(text);
  if (value < 1) throw new InvalidArgumentError("expected a whole number, at least 1.");
  return value;
}

export function realNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("expected a number.");
  return value;
}

/** "20GB", "1.5 TB", "800000000": bytes, powers of ten. */
export function byteSize(text: string): number {
  const [, number, unit = ""] = /^\s*(\d+(?:\.\d+)?)\s*([kMGT]?)B?\s*$/i.exec(text) ?? [];
  const power = { "": 0, K: 3, M: 6, G: 9, T: 12 }[unit.toUpperCase()];
  const bytes = Number(number) * 10 ** (power ?? NaN);
  if (Number.isFinite(bytes)) return Math.floor(bytes);
  throw new InvalidArgumentError("expected a size such as 20GB.");
}

/** "128,512" */
export function numberList(text: string): number[] {
  return text.split(",").map(positiveNumber);
}

/** "1,8,auto" */
export function batchList(text: string): (number | "auto")[] {
  return text.split(",").map((item) => (item === "auto" ? item : positiveNumber(item)));
}

/** "1,2,3": token ids, 0 allowed. */
export function idList(text: string): number[] {
  return text.split(",").map((item) => wholeNumber(item.trim()));
}

/** "-1:-1,13:29": layers of student and teacher, -1 for the embedding. */
export function layerPairs(text: string): [number, number][] {
  return text.split(",").map((item) => {
    const [, student, teacher] = /^\s*(-1|\d{1,6}):(-1|\d{1,6})\s*$/.exec(item) ?? [];
    if (student === undefined || teacher === undefined)
      throw new InvalidArgumentError(
        'expected pairs STUDENT:TEACHER of layers from 0, -1 the embedding: "-1:-1,13:29".',
      );
    return [Number(student), Number(teacher)];
  });
}

/** Collects repeated options. */
export function collect(value: string, earlier: string[] | undefined): string[] {
  return [...(earlier ?? []), value];
}

/** "PATTERN=FORMAT", repeated. */
export function collectPair(value: string, earlier: Record<string, string> | undefined): Record<string, string> {
  const at = value.lastIndexOf("=");
  if (at <= 0 || at === value.length - 1) throw new InvalidArgumentError("expected PATTERN=FORMAT.");
  return { ...earlier, [value.slice(0, at)]: value.slice(at + 1) };
}
