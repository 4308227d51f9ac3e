// SPDX-License-Identifier: Apache-2.0
/**
 * A recipe with all references resolved: what each step reads, and a key that changes whenever its result would.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { bundledTeacher, bundledText } from "../bundled.js";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import { contentOf, isThere, pathsIn } from "./inputs.js";
import type { Recipe, RecipeStep } from "./recipe-file.js";
import { lookupIn, referencesIn, resolveReferences, UnknownReference, type Names } from "./references.js";
import type { Product, StepKind } from "./step-kind.js";
import { stepKinds } from "./step-kinds.js";

export interface PlannedStep {
  name: string;
  verb: string;
  kind: StepKind;
  /** Where it is in the recipe: "recipe.yaml:12". */
  where: string;
  directory: string;
  /** sha256, hex: of verb, options, contents of files, and the keys of the steps it uses. */
  key: string;
  /** Steps and variables whose products or files it reads. */
  uses: string[];
  /** With the products that steps have; they are known for sure when the steps are done. */
  options: (productOf: (step: string) => string) => Record<string, unknown>;
}

/** Raised when results of the same options change meaning: what earlier versions made is made again. */
const KEY_VERSION = 1;

/** What comes with the package. */
const bundled: ReadonlyMap<string, string> = new Map([
  ["bundled-teacher", bundledTeacher],
  ["bundled-text", bundledText],
]);

/** Checks every step before any runs. ERR_RECIPE, ERR_ARGUMENT; messages begin with file, line and step. */
export async function planRecipe(recipe: Recipe, out: string): Promise<PlannedStep[]> {
  const vars = resolvedVars(recipe);
  const planned = new Map<string, PlannedStep>();
  for (const step of recipe.steps) {
    if (vars.has(step.name) || bundled.has(step.name))
      throw new EspalierError("ERR_RECIPE", `${placeOf(recipe, step)}: a variable has this name already`);
    planned.set(step.name, await planStep(recipe, step, out, vars, planned));
  }
  return [...planned.values()];
}

function resolvedVars({ vars, path }: Recipe): Map<string, unknown> {
  const out = new Map<string, unknown>();
  for (const [name, value] of Object.entries(vars))
    try {
      out.set(name, resolveReferences(value, lookupIn(out, bundled)));
    } catch (error) {
      throw recipeError(`${path}: vars.${name}`, error);
    }
  return out;
}

async function planStep(
  recipe: Recipe,
  step: RecipeStep,
  out: string,
  vars: ReadonlyMap<string, unknown>,
  earlier: ReadonlyMap<string, PlannedStep>,
): Promise<PlannedStep> {
  const where = placeOf(recipe, step);
  const kind = stepKinds.get(step.verb)!;
  const directory = join(out, step.name);
  const steps = [...earlier.keys()];
  /** Options with something for each earlier step. */
  const resolve = (of: (step: string) => string): Record<string, unknown> => {
    const products: Names = { has: (name) => earlier.has(name), get: of, keys: () => steps };
    return resolveReferences(step.options, lookupIn(products, vars, bundled)) as Record<string, unknown>;
  };
  try {
    const keyed = resolve((name) => `step:${earlier.get(name)!.key}`);
    const expected = resolve((name) => earlier.get(name)!.kind.product(earlier.get(name)!.directory));
    kind.parse(expected, directory);
    const contents = await readInputs(kind, keyed, earlier);
    const key = hashOf([KEY_VERSION, step.verb, keyed, contents]);
    return {
      name: step.name,
      verb: step.verb,
      kind,
      where,
      directory,
      key,
      uses: usesOf(step, kind),
      options: resolve,
    };
  } catch (error) {
    throw recipeError(where, error);
  }
}

/** A step that makes something else than what the option reads; a file inside what it makes may be anything. */
function checkProduct(
  name: string,
  products: readonly Product[],
  key: string,
  earlier: ReadonlyMap<string, PlannedStep>,
): void {
  const step = [...earlier.values()].find((one) => one.key === key);
  if (step === undefined || products.includes(step.kind.makes)) return;
  const expected = products.length === 0 ? "a file of yours" : products.join(" or ");
  throw new EspalierError(
    "ERR_RECIPE",
    `${name}: expected ${expected}, found step "${step.name}", which makes ${step.kind.makes}`,
  );
}

function usesOf({ options }: RecipeStep, { paths }: StepKind): string[] {
  return [...new Set(Object.keys(paths).flatMap((name) => referencesIn(valueAt(options, name))))];
}

/** Contents of the files named; what steps make is known by its key. */
async function readInputs(
  kind: StepKind,
  options: Record<string, unknown>,
  earlier: ReadonlyMap<string, PlannedStep>,
): Promise<Record<string, string>> {
  const contents: Record<string, string> = {};
  for (const [name, products] of Object.entries(kind.paths))
    for (const path of pathsIn(valueAt(options, name), kind.words)) {
      if (path.startsWith("step:")) {
        checkProduct(name, products, path.slice("step:".length), earlier);
        continue;
      }
      if (!isThere(path))
        throw new EspalierError(
          "ERR_RECIPE",
          `${name}: expected a file, a directory or a step, found nothing at ${path}`,
        );
      contents[path] = await contentOf(path);
    }
  return contents;
}

/** "search.data" */
function valueAt(options: unknown, name: string): unknown {
  return name.split(".").reduce((value, key) => (isRecord(value) ? value[key] : undefined), options);
}

function placeOf({ path }: Recipe, { name, line }: RecipeStep): string {
  return `${line === 0 ? path : `${path}:${line}`}: step "${name}"`;
}

function recipeError(where: string, error: unknown): unknown {
  if (error instanceof UnknownReference) return new EspalierError("ERR_RECIPE", `${where}: ${error.message}`);
  if (!(error instanceof EspalierError)) return error;
  return new EspalierError(error.code, `${where}: ${error.message}`, { cause: error, hint: error.hint });
}

function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
