// SPDX-License-Identifier: Apache-2.0
/**
 * compress: runs the steps of a recipe; those whose inputs have not changed since are left as they are.
 */
import { existsSync } from "node:fs";
import { lstat, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { throwIfAborted } from "../abort.js";
import { readTextFile } from "../checkpoint/strict-json.js";
import { EspalierError } from "../errors.js";
import { makeDirectory, toWriteError } from "../files/atomic-directory.js";
import { withOwnLock } from "../files/lock.js";
import { replaceFile } from "../files/replace-file.js";
import { planRecipe, type PlannedStep } from "./plan.js";
import { readRecipe, type Recipe } from "./recipe-file.js";
import { writeCompressReport } from "./report.js";
import { StepStates, type StepState } from "./state.js";
import type { StepEvent } from "./step-kind.js";

export interface CompressOptions {
  /** YAML, see docs/recipes.md. */
  recipe: string;
  /** The run directory. */
  out: string;
  /** "name=value": in place of the recipe's variables. */
  set?: readonly string[];
  /** Plan only. */
  dryRun?: boolean;
}

export type StepStatus = "cached" | "resume" | "run";

export type CompressProgress =
  | { kind: "begin"; name: string; verb: string; index: number; count: number; status: StepStatus }
  | ({ kind: "step"; name: string } & StepEvent)
  | { kind: "end"; name: string; verb: string; seconds: number; outcome: object };

export interface CompressHooks {
  signal?: AbortSignal;
  onProgress?: (progress: CompressProgress) => void;
}

export interface CompressedStep {
  name: string;
  verb: string;
  /** dryRun: what would happen; else "done", or "cached" when it was before. */
  status: StepStatus | "done";
  product: string | null;
  seconds: number;
  outcome: object | null;
}

export interface CompressResult {
  recipe: string;
  run: string;
  steps: CompressedStep[];
  /** null: dryRun. */
  report: string | null;
}

/**
 * Runs a recipe. The same call again goes on where it was stopped; after a change, the steps that depend on it run again.
 * ERR_RECIPE, ERR_RUN_BUSY, ERR_OUTPUT_EXISTS, and what the verbs throw, with the step's name in front.
 *
 * @example
 * const { report } = await compress({ recipe: "examples/recipes/minitron-width.yaml", out: "runs/width" });
 */
export async function compress(options: CompressOptions, hooks: CompressHooks = {}): Promise<CompressResult> {
  const { set = [], dryRun = false } = options;
  if (options.out === "")
    throw new EspalierError("ERR_ARGUMENT", "compress: out: expected a directory, found an empty string");
  const out = resolve(options.out); // products are named by whole paths
  const recipe = await readRecipe(options.recipe, set);
  const steps = await planRecipe(recipe, out);
  throwIfAborted(hooks.signal);
  await checkRun(out);
  if (dryRun) return dryResult(recipe, steps, out);
  try {
    await makeDirectory(out);
  } catch (error) {
    throw toWriteError(error, out);
  }
  const busy = `${out}: another process works on this run`;
  return withOwnLock(join(out, ".lock"), { signal: hooks.signal, busy }, () =>
    runRecipe(recipe, steps, { out, command: commandOf(options) }, hooks),
  );
}

function commandOf({ recipe, set = [], out }: CompressOptions): string {
  return ["npx espalier compress", recipe, ...set.map((item) => `--set ${item}`), "--out", out].join(" ");
}

/** A directory that something else made is not ours to fill. */
async function checkRun(out: string): Promise<void> {
  const info = await lstat(out).catch(() => null);
  if (info === null) return;
  if (!info.isDirectory()) throw new EspalierError("ERR_OUTPUT_EXISTS", `${out} exists and is no directory`);
  const names = (await readdir(out)).filter((name) => !name.startsWith("."));
  if (names.length > 0 && !names.includes("recipe.yaml"))
    throw new EspalierError("ERR_OUTPUT_EXISTS", `${out} exists and holds no run of a recipe: ${names[0]} is in it`);
  if (names.includes("recipe.yaml") && !names.includes("steps") && names.length > 1)
    throw new EspalierError("ERR_OUTPUT_EXISTS", `${out} holds a run of another verb (no steps/)`);
}

async function dryResult(recipe: Recipe, steps: readonly PlannedStep[], out: string): Promise<CompressResult> {
  const states = new StepStates(out);
  const planned = await Promise.all(
    steps.map(async ({ name, verb, key }) => {
      const state = await states.read(name);
      const status = statusOf(state?.key === key ? state : null);
      return { name, verb, status, product: state?.product ?? null, seconds: 0, outcome: null };
    }),
  );
  return { recipe: recipe.path, run: out, steps: planned, report: null };
}

function statusOf(state: StepState | null): StepStatus {
  if (state === null) return "run";
  return state.status === "done" && state.product !== null && existsSync(state.product) ? "cached" : "resume";
}

async function runRecipe(
  recipe: Recipe,
  steps: readonly PlannedStep[],
  { out, command }: { out: string; command: string },
  hooks: CompressHooks,
): Promise<CompressResult> {
  await keepRecipe(recipe.path, command, join(out, "recipe.yaml"));
  const states = new StepStates(out);
  const products = new Map<string, string>();
  const done: CompressedStep[] = [];
  let failed: unknown = null;
  for (const [index, step] of steps.entries()) {
    try {
      done.push(await runStep(step, { index, count: steps.length }, states, products, hooks));
    } catch (error) {
      failed = error;
      break;
    }
  }
  const report = await writeCompressReport(recipe, steps, done, out, command).catch((error: unknown) => {
    if (failed === null) throw error;
    return null; // the step's error is what matters
  });
  if (failed !== null) throw failed;
  return { recipe: recipe.path, run: out, steps: done, report };
}

/** The recipe as it was run, and the command. */
async function keepRecipe(from: string, command: string, to: string): Promise<void> {
  if (resolve(from) === resolve(to)) return;
  await replaceFile(to, `# ${command}\n${await readTextFile(from)}`);
}

async function runStep(
  step: PlannedStep,
  { index, count }: { index: number; count: number },
  states: StepStates,
  products: Map<string, string>,
  { signal, onProgress }: CompressHooks,
): Promise<CompressedStep> {
  const { name, verb, kind, directory, key, uses } = step;
  throwIfAborted(signal);
  try {
    const state = await states.switchTo(name, key);
    const status = statusOf(state);
    onProgress?.({ kind: "begin", name, verb, index, count, status });
    if (status === "cached" && state !== null) {
      products.set(name, state.product!);
      return { name, verb, status, product: state.product, seconds: state.seconds, outcome: state.outcome };
    }
    if (state === null && existsSync(directory))
      throw new EspalierError("ERR_OUTPUT_EXISTS", `${directory} exists, and no step of this run made it`);
    if (!kind.resumesInPlace) await rm(directory, { recursive: true, force: true });
    const options = step.options((other) => products.get(other)!);
    const begun = { version: 1 as const, verb, key, options, uses };
    await states.write(name, { ...begun, status: "started", product: null, outcome: null, seconds: 0 });
    const started = performance.now();
    const tell = (event: StepEvent): void => onProgress?.({ kind: "step", name, ...event });
    const { product, outcome } = await kind.run(kind.parse(options, directory), {
      directory,
      signal,
      onProgress: tell,
    });
    const seconds = (performance.now() - started) / 1000;
    const plain = JSON.parse(JSON.stringify(outcome)) as Record<string, unknown>;
    await states.write(name, { ...begun, status: "done", product, outcome: plain, seconds });
    products.set(name, product);
    onProgress?.({ kind: "end", name, verb, seconds, outcome: plain });
    return { name, verb, status: "done", product, seconds, outcome: plain };
  } catch (error) {
    throw inStep(step, error);
  }
}

/** Tells which step failed. */
function inStep({ where }: PlannedStep, error: unknown): unknown {
  if (!(error instanceof EspalierError) || error.code === "ERR_ABORTED") return toWriteError(error, where);
  return new EspalierError(error.code, `${where}: ${error.message}`, { cause: error, hint: error.hint });
}
