// SPDX-License-Identifier: Apache-2.0
/**
 * Reading a recipe: YAML with a title, variables and steps, each step one verb and its options.
 */
import { LineCounter, parse as parseYaml, parseDocument, type Document } from "yaml";
import { readTextFile } from "../checkpoint/strict-json.js";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import { nearestHint } from "../nearest.js";
import { optionName, optionValue } from "./option-names.js";
import { stepKinds } from "./step-kinds.js";

export interface RecipeStep {
  /** Unique; the directory of what the step makes. */
  name: string;
  verb: string;
  /** By the API's names; references are not resolved yet. */
  options: Record<string, unknown>;
  /** In the file, from 1. */
  line: number;
}

export interface Recipe {
  path: string;
  title: string;
  vars: Record<string, unknown>;
  steps: RecipeStep[];
}

const STEP_NAME = /^[A-Za-z][A-Za-z0-9_-]*$/;
/** What the run directory holds besides. */
const RESERVED = new Set(["steps", "replaced", "recipe", "report"]);

/** `set`: "name=value" in place of the variable's value, as YAML. ERR_RECIPE names file, line and field. */
export async function readRecipe(path: string, set: readonly string[] = []): Promise<Recipe> {
  const text = await readTextFile(path);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const place = new Places(path, document, lines);
  const root = valueOf(document, place);
  if (!isRecord(root)) throw place.error([], "expected a mapping with steps");
  checkKeys(root, ["title", "description", "vars", "steps"], [], place);
  const { title, vars = {}, steps } = root;
  if (title !== undefined && typeof title !== "string") throw place.error(["title"], "expected a text");
  if (!isRecord(vars)) throw place.error(["vars"], "expected names and values");
  if (!isRecord(steps) || Object.keys(steps).length === 0) {
    const found = steps === undefined || isRecord(steps) ? "none" : Array.isArray(steps) ? "a list" : "something else";
    throw place.error(["steps"], `expected a mapping of step names to steps, found ${found}`);
  }
  return {
    path,
    title: title ?? path,
    vars: overridden(vars, set, path),
    steps: Object.entries(steps).map(([name, step]) => readStep(name, step, place)),
  };
}

function valueOf(document: Document.Parsed, place: Places): unknown {
  const [error] = document.errors;
  if (error !== undefined) throw place.error([], `not YAML: ${firstLine(error)}`);
  try {
    return document.toJS();
  } catch (cause) {
    throw place.error([], firstLine(cause as Error)); // aliases that multiply without end
  }
}

/** The others draw the place in the text. */
function firstLine({ message }: Error): string {
  return message.split("\n")[0]!.replace(/:$/, "");
}

function readStep(name: string, step: unknown, place: Places): RecipeStep {
  const at = ["steps", name];
  if (!STEP_NAME.test(name) || RESERVED.has(name))
    throw place.error(at, `expected a name of letters, digits, - and _ (none of ${[...RESERVED].join(", ")})`);
  const verbs = [...stepKinds.keys()];
  const entries = isRecord(step) ? Object.entries(step) : [];
  const [entry] = entries;
  if (entry === undefined || entries.length > 1)
    throw place.error(at, `expected one verb and its options, found ${entries.length}: one of ${verbs.join(", ")}`);
  const [verb, given] = entry;
  if (!stepKinds.has(verb))
    throw place.error([...at, verb], `unknown${nearestHint(verb, verbs)}: expected one of ${verbs.join(", ")}`);
  if (!isRecord(given)) throw place.error([...at, verb], "expected options, each a name and a value");
  return { name, verb, options: namedOptions(verb, given, [...at, verb], place), line: place.line([...at, verb]) };
}

function namedOptions(
  verb: string,
  given: Record<string, unknown>,
  at: readonly string[],
  place: Places,
): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  const known = stepKinds.get(verb)?.options ?? [];
  for (const [key, value] of Object.entries(given)) {
    const name = optionName(verb, key);
    if (!known.includes(name))
      throw place.error([...at, key], `unknown${nearestHint(name, known)}: expected one of ${known.join(", ")}`);
    if (name in options) throw place.error([...at, key], `given twice: it is ${name} by another name`);
    if (value !== null) options[name] = nestedOptions(verb, name, optionValue(key, value)); // null: not given, as in NeMo's files
  }
  return options;
}

/** Their names are checked by the verb. */
function nestedOptions(verb: string, name: string, value: unknown): unknown {
  const as = stepKinds.get(verb)?.nested[name];
  if (as === undefined || !isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [optionName(as, key), one]));
}

function checkKeys(
  value: Record<string, unknown>,
  known: readonly string[],
  at: readonly string[],
  place: Places,
): void {
  for (const key of Object.keys(value))
    if (!known.includes(key))
      throw place.error([...at, key], `unknown${nearestHint(key, known)}: expected one of ${known.join(", ")}`);
}

function overridden(vars: Record<string, unknown>, set: readonly string[], path: string): Record<string, unknown> {
  const out = { ...vars };
  for (const item of set) {
    const at = item.indexOf("=");
    const name = item.slice(0, at);
    if (at < 1) throw new EspalierError("ERR_ARGUMENT", `compress: set: expected NAME=VALUE, found "${item}"`);
    if (!(name in vars))
      throw new EspalierError(
        "ERR_ARGUMENT",
        `compress: set: ${path} has no variable "${name}"${nearestHint(name, Object.keys(vars))}: ` +
          `expected one of ${Object.keys(vars).join(", ") || "none"}`,
      );
    out[name] = parseYaml(item.slice(at + 1)) as unknown;
  }
  return out;
}

/** Where a field stands, for messages. */
class Places {
  readonly #path: string;
  readonly #document: Document;
  readonly #lines: LineCounter;

  constructor(path: string, document: Document, lines: LineCounter) {
    this.#path = path;
    this.#document = document as Document;
    this.#lines = lines;
  }

  /** 0: unknown */
  line(at: readonly string[]): number {
    const node = this.#document.getIn([...at], true) as { range?: [number, number, number] } | undefined;
    return node?.range === undefined ? 0 : this.#lines.linePos(node.range[0]).line;
  }

  error(at: readonly string[], message: string): EspalierError {
    const line = at.length === 0 ? 0 : this.line(at);
    const where = line === 0 ? this.#path : `${this.#path}:${line}`;
    return new EspalierError("ERR_RECIPE", `${where}: ${at.length === 0 ? "" : `${at.join(".")}: `}${message}`);
  }
}
