// SPDX-License-Identifier: Apache-2.0
/**
 * The files of a corpus: what was named, with directories and npm packages opened, in a fixed order.
 */
import { readdir, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, extname, join, resolve } from "node:path";
import { EspalierError } from "../../errors.js";
import { matchesPattern } from "../../model/name-pattern.js";

export type InputKind = "text" | "jsonl" | "parquet";

export interface InputFile {
  path: string;
  kind: InputKind;
  gzip: boolean;
  sizeBytes: number;
  modifiedMs: number;
}

const KINDS: ReadonlyMap<string, InputKind> = new Map([
  [".txt", "text"],
  [".text", "text"],
  [".md", "text"],
  [".jsonl", "jsonl"],
  [".ndjson", "jsonl"],
  [".json", "jsonl"],
  [".parquet", "parquet"],
]);

/** In directories .json is more often metadata than a corpus. */
const NOT_IN_DIRECTORIES = [".json"];
const NPM = "npm:";

/**
 * Files, directories and "npm:PACKAGE", each in the order given; a directory's files by name, numbers as numbers, but
 * those whose name an `exclude` pattern matches ("*" stands for any characters).
 */
export async function findInputs(paths: readonly string[], exclude: readonly string[] = []): Promise<InputFile[]> {
  if (paths.length === 0) throw new EspalierError("ERR_ARGUMENT", "inputs: expected files or directories, found none");
  const found: InputFile[] = [];
  for (const path of paths) {
    const opened = await expand(path.startsWith(NPM) ? await packageData(path.slice(NPM.length)) : path);
    const files = opened.filter((file) => !exclude.some((pattern) => matchesPattern(pattern, basename(file.path))));
    if (files.length === 0)
      throw new EspalierError(
        "ERR_DATA_INPUT",
        `${path}: expected text, JSON lines or parquet files, found none${opened.length > 0 ? " that exclude leaves" : ""}`,
      );
    found.push(...files);
  }
  return found;
}

async function expand(path: string): Promise<InputFile[]> {
  const place = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new EspalierError("ERR_FILE_OPEN", `${path}: ${error.message}`, { cause: error });
  });
  if (place.isDirectory()) return filesOf(path);
  const type = typeOf(path);
  if (type === null)
    throw new EspalierError(
      "ERR_DATA_INPUT",
      `${path}: expected a name that ends in ${[...KINDS.keys()].join(", ")}, all but parquet with or without .gz`,
    );
  return [{ path, ...type, sizeBytes: place.size, modifiedMs: place.mtimeMs }];
}

async function filesOf(directory: string): Promise<InputFile[]> {
  const entries = (await readdir(directory, { withFileTypes: true }))
    .filter(({ name }) => !name.startsWith(".") && name !== "node_modules")
    .sort((a, b) => compareNames(a.name, b.name));
  const found: InputFile[] = [];
  for (const entry of entries) {
    const path = join(directory, entry.name);
    const wanted = typeOf(path) !== null && !NOT_IN_DIRECTORIES.includes(extname(path.replace(/\.gz$/, "")));
    if ((await stat(path)).isDirectory()) found.push(...(await filesOf(path)));
    else if (wanted) found.push(...(await expand(path)));
  }
  return found;
}

function typeOf(path: string): { kind: InputKind; gzip: boolean } | null {
  const gzip = path.toLowerCase().endsWith(".gz");
  const kind = KINDS.get(extname(gzip ? path.slice(0, -3) : path).toLowerCase());
  return kind === undefined || (gzip && kind === "parquet") ? null : { kind, gzip };
}

/** "chapter_2" before "chapter_10", whatever the locale. */
function compareNames(a: string, b: string): number {
  const [left, right] = [a.split(/(\d+)/), b.split(/(\d+)/)];
  for (let i = 0; i < Math.min(left.length, right.length); ++i) {
    const [x, y] = [left[i]!, right[i]!];
    if (x === y) continue;
    if (i % 2 === 1 && Number(x) !== Number(y)) return Number(x) - Number(y);
    return x < y ? -1 : 1;
  }
  return left.length - right.length;
}

/** The data/ directory of an installed package, or the package itself where it has none. */
async function packageData(name: string): Promise<string> {
  const manifest = `${name}/package.json`;
  for (const from of [join(resolve("."), "package.json"), import.meta.url]) {
    try {
      const directory = dirname(createRequire(from).resolve(manifest));
      const data = join(directory, "data");
      return (await stat(data).catch(() => null))?.isDirectory() === true ? data : directory;
    } catch {
      // the next place
    }
  }
  throw new EspalierError("ERR_DATA_INPUT", `npm:${name}: the package is not installed`, {
    hint: `Install it: npm install ${name}`,
  });
}

/** For a manifest: no machine's directories. */
export function inputName({ path }: InputFile): string {
  return basename(path);
}
