// SPDX-License-Identifier: Apache-2.0
/**
 * $name in a recipe: a variable's value, what an earlier step made, or what comes with the package.
 */
import { isRecord } from "../json.js";
import { nearestHint } from "../nearest.js";

/** `$name` or `${name}`; `$$` is a dollar. */
const REFERENCE = /\$(?:(\$)|\{([A-Za-z][\w-]*)\}|([A-Za-z][\w-]*))/g;

export type Lookup = (name: string) => unknown;

/** A reference to something unknown; the message names it. */
export class UnknownReference extends Error {}

/** The value with references replaced. A text that is nothing but a reference becomes the value itself. */
export function resolveReferences(value: unknown, lookup: Lookup): unknown {
  if (typeof value === "string") return resolveText(value, lookup);
  if (Array.isArray(value)) return value.map((item) => resolveReferences(item, lookup));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolveReferences(item, lookup)]));
}

function resolveText(text: string, lookup: Lookup): unknown {
  const whole = [...text.matchAll(REFERENCE)];
  if (whole.length === 1 && whole[0]![0] === text && whole[0]![1] === undefined)
    return lookup((whole[0]![2] ?? whole[0]![3])!);
  return text.replace(REFERENCE, (_, dollar?: string, braced?: string, bare?: string) =>
    dollar === undefined ? String(lookup((braced ?? bare)!)) : "$",
  );
}

/** The names a value refers to. */
export function referencesIn(value: unknown): string[] {
  const names: string[] = [];
  resolveReferences(value, (name) => void names.push(name));
  return [...new Set(names)];
}

/** What has values by name; a Map is one. */
export interface Names {
  has(name: string): boolean;
  get(name: string): unknown;
  keys(): Iterable<string>;
}

/** Looks in several, the first that has it wins. */
export function lookupIn(...places: readonly Names[]): Lookup {
  return (name) => {
    for (const place of places) if (place.has(name)) return place.get(name);
    const known = places.flatMap((place) => [...place.keys()]);
    throw new UnknownReference(
      `$${name}: expected a variable or an earlier step${nearestHint(name, known)}, found none of that name`,
    );
  };
}
