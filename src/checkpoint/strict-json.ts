/**
 * JSON.parse that refuses duplicate keys, which JSON.parse silently drops: a header that names a tensor twice lies.
 */
import { readFile } from "node:fs/promises";
import { EspalierError, type ErrorCode } from "../errors.js";

/** Parsed text; `code` when it is not JSON or an object has a key twice. */
export function parseStrictJson(text: string, where: string, code: ErrorCode = "ERR_JSON"): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new EspalierError(code, `${where}: not JSON: ${(error as Error).message}`, { cause: error });
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) throw new EspalierError(code, `${where}: the key "${duplicate}" appears twice`);
  return value;
}

/** A small JSON file (a config, an index, a tokenizer). */
export async function readJsonFile(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new EspalierError("ERR_FILE_OPEN", `${path}: ${(error as Error).message}`, { cause: error });
  }
  return parseStrictJson(text, path);
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

const STRING = /"(?:[^"\\]|\\.)*"/y;

/**
 * The first key some object of this (valid) JSON text has twice. A string is a key exactly when a colon follows it.
 */
function findDuplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; ++i) {
    const character = text[i];
    if (character === "{" || character === "[") open.push(new Set());
    else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      STRING.lastIndex = i;
      const token = STRING.exec(text)?.[0] ?? '"';
      i += token.length - 1;
      if (!isKey(text, i + 1)) continue;
      const key = JSON.parse(token) as string;
      const keys = open[open.length - 1];
      if (keys?.has(key) === true) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

function isKey(text: string, end: number): boolean {
  let i = end;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\t" || text[i] === "\r") ++i;
  return text[i] === ":";
}
