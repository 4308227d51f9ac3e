/**
 * 10,000 mutated model files: each must open and read, or be refused with a coded error; never a crash, a hang or a
 * leak. ESPALIER_FUZZ_SEED and ESPALIER_FUZZ_RUNS (a factor) try others; `npm run test:sanitize` runs this file too.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { checkTensors, openCheckpoint, readTensor } from "../../../src/checkpoint/index.js";
import { EspalierError } from "../../../src/errors.js";
import {
  entry,
  ggufBytes,
  safetensorsBytes,
  safetensorsHeader,
  tinyConfig,
  tinyEntries,
  tinyTensors,
  writeTinyDirectory,
} from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

const seed = Number(process.env["ESPALIER_FUZZ_SEED"] ?? 2026);
const factor = Number(process.env["ESPALIER_FUZZ_RUNS"] ?? 1);
const SLOW_MS = 2000;

type Mutation =
  | { kind: "flip"; bit: number }
  | { kind: "truncate" }
  | { kind: "insert" | "overwrite"; bytes: Uint8Array }
  | { kind: "remove"; count: number }
  | { kind: "length"; value: bigint; wide: boolean };

/** Values a length, count or offset field may be set to. */
const lengths = [
  0n,
  1n,
  7n,
  31n,
  255n,
  65536n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 40n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("flip" as const), bit: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("truncate" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("insert" as const, "overwrite" as const),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 16 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), count: fc.integer({ min: 1, max: 40 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("length" as const),
      value: fc.oneof(fc.constantFrom(...lengths), fc.bigInt({ min: 0n, max: 5000n })),
      wide: fc.boolean(),
    }),
  },
);

/** Where, as a fraction of the file; nine in ten fall into the header, `true`. */
// (fc.double would be almost always close to 0.)
const fraction = fc.nat(2 ** 20 - 1).map((n) => n / 2 ** 20);
const place = fc.tuple(
  fraction,
  fc.nat(9).map((n) => n > 0),
);
const mutations = fc.array(fc.tuple(mutation, place), { minLength: 1, maxLength: 3 });

function apply(whole: Buffer, headerBytes: number, list: [Mutation, [number, boolean]][]): Buffer {
  let bytes: Buffer = Buffer.from(whole);
  for (const [change, [where, inHeader]] of list) {
    const at = Math.floor(where * Math.min(bytes.length, inHeader ? headerBytes : bytes.length));
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    if (change.kind === "truncate") bytes = before;
    else if (change.kind === "insert") bytes = Buffer.concat([before, change.bytes, after]);
    else if (change.kind === "remove") bytes = Buffer.concat([before, after.subarray(change.count)]);
    else if (change.kind === "flip" && at < bytes.length) bytes[at]! ^= 1 << change.bit;
    else if (change.kind === "overwrite") bytes.set(change.bytes.subarray(0, bytes.length - at), at);
    else if (change.kind === "length") {
      const field = Buffer.alloc(8);
      field.writeBigUInt64LE(change.value);
      bytes.set(field.subarray(0, Math.min(change.wide ? 8 : 4, bytes.length - at)), at);
    }
  }
  return bytes;
}

/** "read", or the code of the error it was refused with; anything else is a failure of the test. */
async function outcome(path: string): Promise<string> {
  const begin = performance.now();
  try {
    await using checkpoint = await openCheckpoint(path);
    checkTensors(checkpoint);
    for (const tensor of checkpoint.tensors.values()) await readTensor(tensor);
    return "read";
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    if (error.code === "ERR_INTERNAL" || error.code === "ERR_ARGUMENT") throw error;
    return error.code;
  } finally {
    const took = performance.now() - begin;
    if (took > SLOW_MS) throw new Error(`took ${took} ms`);
  }
}

/** A JSON document with one value, somewhere, replaced, removed or doubled: it still parses, and lies. */
const odd = fc.constantFrom<unknown>(
  null,
  true,
  -1,
  0,
  1,
  1.5,
  3,
  1e308,
  2 ** 53,
  "",
  "F16",
  "I64",
  "../x",
  [],
  [0],
  {},
  [[1]],
);
const lie = fc.record({
  steps: fc.array(fc.nat(40), { minLength: 1, maxLength: 4 }),
  value: odd,
  remove: fc.boolean(),
});
type Lie = typeof lie extends fc.Arbitrary<infer T> ? T : never;

function applyLie(document: unknown, { steps, value, remove }: Lie): unknown {
  const copy = structuredClone(document);
  let parent = copy as Record<string, unknown>;
  for (const [i, step] of steps.entries()) {
    const keys = Object.keys(parent);
    const key = keys[step % Math.max(1, keys.length)];
    if (key === undefined) break;
    const child = parent[key];
    if (i < steps.length - 1 && typeof child === "object" && child !== null) {
      parent = child as Record<string, unknown>;
      continue;
    }
    if (remove) delete parent[key];
    else parent[key] = structuredClone(value);
    break;
  }
  return copy;
}

async function tryLies(
  path: string,
  document: unknown,
  write: (text: string) => void,
  runs: number,
): Promise<Map<string, number>> {
  const outcomes = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(lie, async (change) => {
      write(JSON.stringify(applyLie(document, change)));
      const found = await outcome(path);
      outcomes.set(found, (outcomes.get(found) ?? 0) + 1);
    }),
    { numRuns: Math.round(runs * factor), seed, endOnFailure: true },
  );
  if (process.env["ESPALIER_FUZZ_SHOW"]) console.log(path, Object.fromEntries(outcomes));
  return outcomes;
}

async function tryMutations(
  path: string,
  file: string,
  whole: Buffer,
  headerBytes: number,
  runs: number,
): Promise<Map<string, number>> {
  const outcomes = new Map<string, number>();
  const count = (name: string): void => void outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
  const descriptors = readdirSync("/proc/self/fd").length;
  await fc.assert(
    fc.asyncProperty(mutations, async (list) => {
      writeFileSync(file, apply(whole, headerBytes, list));
      count(await outcome(path));
    }),
    { numRuns: Math.round(runs * factor), seed, endOnFailure: true },
  );
  expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(descriptors + 2);
  if (process.env["ESPALIER_FUZZ_SHOW"]) console.log(file, Object.fromEntries(outcomes));
  return outcomes;
}

const root = temporaryDirectory();

/** A mutation that nothing notices is fine in weights; all of them being noticed, or none, would be a broken test. */
function expectVariety(outcomes: Map<string, number>, codes: string[]): void {
  expect([...outcomes.keys()]).toEqual(expect.arrayContaining(["read", ...codes]));
}

it("mutated GGUF files", async () => {
  const path = join(root, "m.gguf");
  const more = [entry.string("tokenizer.chat_template", "{{ messages }}"), entry.u32("general.alignment", 32)];
  const whole = ggufBytes({ entries: [...tinyEntries, ...more] });
  const outcomes = await tryMutations(path, path, whole, 2000, 4000);
  expectVariety(outcomes, [
    "ERR_FILE_TRUNCATED",
    "ERR_GGUF_HEADER",
    "ERR_GGUF_TENSOR",
    "ERR_GGUF_METADATA",
    "ERR_SHAPE",
  ]);
}, 60_000);

it("mutated GGUF files with blocks, biases and an untied head", async () => {
  const path = join(root, "q.gguf");
  const whole = readFileSync(join(__dirname, "../../fixtures/gguf/tiny-q4_1-bias.gguf"));
  const outcomes = await tryMutations(path, path, whole, 3500, 1500);
  expectVariety(outcomes, ["ERR_GGUF_TENSOR", "ERR_CHECKPOINT_TENSORS"]);
}, 60_000);

it("mutated safetensors files", async () => {
  const directory = writeTinyDirectory(join(root, "m"));
  const whole = safetensorsBytes(tinyTensors());
  const outcomes = await tryMutations(directory, join(directory, "model.safetensors"), whole, 1200, 2000);
  expectVariety(outcomes, ["ERR_FILE_TRUNCATED", "ERR_SAFETENSORS_HEADER", "ERR_SAFETENSORS_TENSOR"]);
}, 60_000);

it("safetensors headers that lie", async () => {
  const directory = writeTinyDirectory(join(root, "h"));
  const tensors = tinyTensors();
  const write = (text: string): void =>
    writeFileSync(join(directory, "model.safetensors"), safetensorsBytes(tensors, text));
  const outcomes = await tryLies(directory, safetensorsHeader(tensors), write, 1000);
  expectVariety(outcomes, ["ERR_SAFETENSORS_TENSOR", "ERR_SAFETENSORS_HEADER"]);
}, 60_000);

it("config.json that lies", async () => {
  const directory = writeTinyDirectory(join(root, "l"));
  const document = { ...tinyConfig, rope_scaling: { rope_type: "linear", factor: 2 } };
  const write = (text: string): void => writeFileSync(join(directory, "config.json"), text);
  const outcomes = await tryLies(directory, document, write, 700);
  expectVariety(outcomes, ["ERR_MODEL_CONFIG", "ERR_MODEL_FAMILY", "ERR_MODEL_ROPE", "ERR_SHAPE"]);
}, 60_000);

it("mutated config.json", async () => {
  const directory = writeTinyDirectory(join(root, "c"));
  const whole = Buffer.from(JSON.stringify({ ...tinyConfig, rope_scaling: { rope_type: "linear", factor: 2 } }));
  const outcomes = await tryMutations(directory, join(directory, "config.json"), whole, whole.length, 500);
  expectVariety(outcomes, ["ERR_JSON", "ERR_MODEL_CONFIG"]);
}, 60_000);

it("mutated model.safetensors.index.json", async () => {
  const directory = join(root, "i");
  mkdirSync(directory);
  writeTinyDirectory(directory);
  const weightMap = Object.fromEntries(tinyTensors().map((tensor) => [tensor.name, "model.safetensors"]));
  const index = Buffer.from(JSON.stringify({ metadata: { total_size: 1 }, weight_map: weightMap }));
  const outcomes = await tryMutations(
    directory,
    join(directory, "model.safetensors.index.json"),
    index,
    index.length,
    300,
  );
  expectVariety(outcomes, ["ERR_JSON", "ERR_CHECKPOINT_INDEX"]);
}, 60_000);
