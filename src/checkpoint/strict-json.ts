/**
 * JSON.parse that refuses duplicate keys, which JSON.parse silently drops: a header that names a tensor twice lies.
 */
import { readFile, stat } from "node:fs/promises";
import { EspalierError, type ErrorCode } from "../errors.js";

const MAX_FILE_BYTES = 1 << 26;
const MAX_DEPTH = 100;

/** Parsed text; `code` when it is not JSON or an object has a key twice. */
export function parseStrictJson(text: string, where: string, code: ErrorCode = "ERR_JSON"): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new EspalierError(code, `${where}: not JSON: ${(error as Error).message}`, { cause: error });
  }
  const problem = findProblem(text);
  if (problem !== undefined) throw new EspalierError(code, `${where}: ${problem}`);
  return value;
}

/** A small text file, such as a template. */
export async function readTextFile(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw new Error(`${size} bytes, at most ${MAX_FILE_BYTES} are read`);
    return await readFile(path, "utf8");
  } catch (error) {
    throw new EspalierError("ERR_FILE_OPEN", `${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** A small JSON file (a config, an index). */
export async function readJsonFile(path: string): Promise<unknown> {
  return parseStrictJson(await readTextFile(path), path);
}

/** Like readJsonFile, for files that hold an object. */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  const value = await readJsonFile(path);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new EspalierError(
    "ERR_JSON",
    `${path}: expected an object, found ${Array.isArray(value) ? "an array" : typeof value}`,
  );
}

/**
 * The first key some object of this (valid) JSON text has twice, or nesting that recursive code could not follow. A
 * string is a key exactly when a colon follows it.
 */
function findProblem(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; ++i) {
    const character = text[i];
    if (character === "{" || character === "[") open.push(new Set());
    else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      const end = stringEnd(text, i);
      const keys = open[open.length - 1];
      if (keys !== undefined && isKey(text, end)) {
        const key = JSON.parse(text.slice(i, end)) as string;
        if (keys.has(key)) return `the key "${key}" appears twice`;
        keys.add(key);
      }
      i = end - 1;
    }
    if (open.length > MAX_DEPTH) return `nested deeper than ${MAX_DEPTH}`;
  }
  return undefined;
}

/** Just behind the string that begins at `start`. Not a regular expression: those overflow on long strings. */
function stringEnd(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

function isKey(text: string, end: number): boolean {
  let i = end;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\t" || text[i] === "\r") ++i;
  return text[i] === ":";
}
