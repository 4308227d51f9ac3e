/** Tiny Llamas made by test/oracles/tiny_llama.py, and engines built from them. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { buildEngine, Engine, type EngineLoadOptions } from "../../../src/engine/index.js";
import { temporaryDirectory } from "../../temporary.js";

const root = join(__dirname, "../../fixtures/tiny-llama");
const built = new Map<string, Promise<string>>();
const directory = temporaryDirectory();

export interface Expected {
  ids: number[];
  /** Next 8 tokens, greedy. */
  greedy: number[];
  shape: [number, number];
  logits: Float32Array;
}

export const tinyLlamas: readonly string[] = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

export function tinyLlama(name: string): string {
  return join(root, name);
}

export function expectedOf(name: string): Expected {
  const json = JSON.parse(readFileSync(join(root, name, "expected.json"), "utf8")) as Omit<Expected, "logits"> & {
    logits: string;
  };
  return { ...json, logits: new Float32Array(Uint8Array.from(Buffer.from(json.logits, "base64")).buffer) };
}

/** Directory of an engine of that fixture; built once per test file. */
export function engineOf(name: string, weights = "f32"): Promise<string> {
  const key = `${name}-${weights}`;
  let made = built.get(key);
  if (made === undefined) {
    const out = join(directory, key);
    made = buildEngine(tinyLlama(name), out, { weights }).then(() => out);
    built.set(key, made);
  }
  return made;
}

export async function loadTiny(name: string, options: EngineLoadOptions = {}, weights = "f32"): Promise<Engine> {
  return Engine.load(await engineOf(name, weights), options);
}

/** Largest absolute difference; NaN anywhere gives NaN. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`lengths differ: ${a.length} and ${b.length}`);
  let largest = 0;
  for (let i = 0; i < a.length; ++i) {
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    if (Number.isNaN(difference)) return NaN;
    if (difference > largest) largest = difference;
  }
  return largest;
}

/** Deterministic ids below `vocab`. */
export function someIds(count: number, vocab: number, seed = 1): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * vocab);
  });
}
