// SPDX-License-Identifier: Apache-2.0
/**
 * Cuts a text into the words that byte-level BPE looks at one by one.
 */
import { isRecord } from "../../json.js";

/** Calls `visit` with each word, in order; together they are the text. */
export type Splitter = (text: string, visit: (word: string) => void) => void;

/** Escapes whose meaning is the same here and in Oniguruma, or is put in words that mean the same. */
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["s", String.raw`\p{White_Space}`],
  ["S", String.raw`\P{White_Space}`],
  ["d", String.raw`\p{Nd}`],
  ["r", String.raw`\r`],
  ["n", String.raw`\n`],
  ["t", String.raw`\t`],
]);

/** A group of contractions, which V8 of Node 20 cannot match without regard to case. */
const CASELESS_GROUP = /\(\?i:([a-z'|]+)\)/g;
/** Oniguruma's constructs that JavaScript lacks or reads otherwise. */
const FOREIGN = /\(\?[^:=!]|&&|\[\[|\[:|[*+?]\+|\d\}\+|\\[^\p{L}]|[$^.]/u;

/**
 * The JavaScript form of a pre-tokenizer's pattern, or null when it is not sure to mean the same.
 */
export function compilePattern(pattern: string): RegExp | null {
  const plain = pattern.replace(CASELESS_GROUP, (_, alternatives: string) => `(?:${bothCases(alternatives)})`);
  let known = true;
  const rewritten = plain.replace(/\\(?:([pP]\{[A-Za-z_]+\})|(.))/gs, (_, property?: string, letter?: string) => {
    if (property !== undefined) return `\\${property}`;
    const escape = ESCAPES.get(letter!);
    known &&= escape !== undefined;
    return escape ?? "";
  });
  if (!known || FOREIGN.test(withoutNegatedClasses(plain))) return null;
  try {
    return new RegExp(rewritten, "gu");
  } catch {
    return null;
  }
}

function bothCases(alternatives: string): string {
  return alternatives.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`);
}

/** "[^" means the same everywhere. */
function withoutNegatedClasses(pattern: string): string {
  return pattern.replaceAll("[^", "[");
}

/** Of an adapted pre_tokenizer (src/tokenizer/adapt.ts); null when it is anything but Splits before a ByteLevel. */
export function splitterOf(preTokenizer: unknown): Splitter | null {
  if (!isRecord(preTokenizer)) return null;
  const parts = flatten(preTokenizer);
  const last = parts.at(-1);
  if (!isRecord(last) || last["type"] !== "ByteLevel") return null;
  if (last["use_regex"] !== false || last["add_prefix_space"] === true) return null;
  const patterns: RegExp[] = [];
  for (const part of parts.slice(0, -1)) {
    const regex = patternOf(part);
    if (regex === null) return null;
    patterns.push(regex);
  }
  return patterns.reduceRight<Splitter>(
    (next, regex) => (text, visit) => splitBy(regex, text, (piece) => next(piece, visit)),
    (text, visit) => visit(text),
  );
}

function flatten(part: unknown): unknown[] {
  if (!isRecord(part) || part["type"] !== "Sequence") return [part];
  return (part["pretokenizers"] as unknown[]).flatMap(flatten);
}

function patternOf(part: unknown): RegExp | null {
  if (!isRecord(part) || part["type"] !== "Split" || part["behavior"] !== "Isolated") return null;
  const pattern = part["pattern"];
  if (part["invert"] === true || !isRecord(pattern) || typeof pattern["Regex"] !== "string") return null;
  return compilePattern(pattern["Regex"]);
}

/** Matches and what lies between them. */
export function splitBy(regex: RegExp, text: string, visit: (piece: string) => void): void {
  let end = 0;
  regex.lastIndex = 0;
  for (let match = regex.exec(text); match !== null; match = regex.exec(text)) {
    const [word] = match;
    if (word === "") {
      regex.lastIndex += 1;
      continue;
    }
    if (match.index > end) visit(text.slice(end, match.index));
    visit(word);
    end = match.index + word.length;
    regex.lastIndex = end; // visit may have used the same pattern
  }
  if (end < text.length) visit(text.slice(end));
}
