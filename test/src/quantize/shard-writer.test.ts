/** Shards written weight by weight: headers, alignment, and the same bytes wherever a run was stopped. */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { readSafetensorsHeader } from "../../../src/checkpoint/safetensors.js";
import { ShardWriter, type ShardPart } from "../../../src/quantize/shard-writer.js";
import { temporaryDirectory } from "../../temporary.js";

const root = temporaryDirectory();
let count = 0;
const fresh = (): string => {
  const path = join(root, `d${count++}`);
  mkdirSync(path);
  return path;
};

const elementBytes: Record<string, number> = { F32: 4, F16: 2, I32: 4, I64: 8, U8: 1, F8_E4M3: 1 };

interface Weight {
  name: string;
  parts: ShardPart[];
}

function part(name: string, type: string, shape: number[]): ShardPart {
  const bytes = shape.reduce((product, size) => product * size, elementBytes[type]!);
  const data = createHash("shake256", { outputLength: bytes }).update(name).digest();
  const half = bytes >> 1;
  return { name, type, shape, bytes, pieces: [data.subarray(0, half), data.subarray(half)] };
}

/** Odd shapes of every element size: packed codes, scales, zero points, shapes. */
const weights: Weight[] = Array.from({ length: 6 }, (_, i) => ({
  name: `layers.${i}`,
  parts: [
    part(`layers.${i}.weight_packed`, i % 2 === 0 ? "I32" : "U8", [3 + i, 5]),
    part(`layers.${i}.weight_scale`, i % 3 === 0 ? "F32" : "F16", [7, 1]),
    part(`layers.${i}.weight_shape`, "I64", [2]),
    part(`layers.${i}.bias`, "F8_E4M3", [1 + i]),
  ],
}));
const names = weights.flatMap(({ parts }) => parts.map(({ name }) => name));

const openIn = (directory: string, signature = "a", maxShardBytes = 220): Promise<ShardWriter<number>> =>
  ShardWriter.open<number>({ directory, signature, maxShardBytes, names });

/** Adds what is not there yet; saves after each weight, as if each took long. */
async function run(
  directory: string,
  { upTo = weights.length, signature = "a", maxShardBytes = 220 } = {},
): Promise<number> {
  const writer = await openIn(directory, signature, maxShardBytes);
  const found = writer.done.length;
  try {
    for (const [index, { name, parts }] of weights.slice(0, upTo).entries()) {
      if (index < found) continue;
      await writer.append(name, parts, index);
      await writer.save();
    }
    if (upTo === weights.length) await writer.finish();
  } finally {
    await writer.close();
  }
  return found;
}

const filesOf = (directory: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(directory)
      .sort()
      .map((name) => [
        name,
        createHash("sha256")
          .update(readFileSync(join(directory, name)))
          .digest("hex"),
      ]),
  );

let whole: string;
let expected: Record<string, string>;

beforeAll(async () => {
  whole = fresh();
  await run(whole);
  expected = filesOf(whole);
});

it("every tensor is there, begins at a multiple of its element's size and holds its bytes", async () => {
  expect(Object.keys(expected).length).toBeGreaterThan(2);
  const found = new Map<string, Buffer>();
  for (const file of Object.keys(expected)) {
    const path = join(whole, file);
    const { tensors } = await readSafetensorsHeader(path);
    const bytes = readFileSync(path);
    for (const tensor of tensors) {
      expect(tensor.offset % elementBytes[tensor.type.toUpperCase()]!).toBe(0);
      found.set(tensor.name, bytes.subarray(tensor.offset, tensor.offset + tensor.sizeBytes));
    }
  }
  expect([...found.keys()].sort()).toEqual([...names].sort());
  for (const { parts } of weights)
    for (const { name, pieces } of parts) expect(found.get(name)).toEqual(Buffer.concat([...(pieces as Buffer[])]));
});

it("a weight's parts lie in one shard; weightMap tells which", async () => {
  const directory = fresh();
  const writer = await openIn(directory);
  for (const [index, { name, parts }] of weights.entries()) await writer.append(name, parts, index);
  const files = await writer.finish();
  const map = writer.weightMap(files);
  expect(Object.keys(map).sort()).toEqual([...names].sort());
  for (const { parts } of weights) expect(new Set(parts.map(({ name }) => map[name])).size).toBe(1);
  expect(new Set(Object.values(map))).toEqual(new Set(files));
  for (const [name, file] of Object.entries(map)) {
    const { tensors } = await readSafetensorsHeader(join(directory, file));
    expect(tensors.map((tensor) => tensor.name)).toContain(name);
  }
});

it("one shard has the plain name", async () => {
  const directory = fresh();
  await run(directory, { maxShardBytes: 1e9 });
  expect(readdirSync(directory)).toEqual(["model.safetensors"]);
});

type Method = "write" | "datasync" | "appendFile" | "writeFile";

/** The nth call of a method of files fails, as if the process had ended there; what was to be written is half there. */
async function stopAt(method: Method, nth: number): Promise<{ restore: () => void; calls: () => number }> {
  const probe = await open(join(root, "probe"), "w");
  const prototype = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const real = prototype[method] as (...args: unknown[]) => Promise<unknown>;
  let calls = 0;
  const spy = jest.spyOn(prototype, method).mockImplementation(async function (this: FileHandle, ...args: unknown[]) {
    if (++calls !== nth) return (await real.apply(this, args)) as never;
    const [data, offset, length, position] = args as [Uint8Array | string, number, number, number];
    if (method === "write") await real.call(this, data, offset, length >> 1, position);
    if (method === "appendFile") await real.call(this, (data as string).slice(0, data.length >> 1));
    throw new Error("stopped");
  } as never);
  return { restore: () => spy.mockRestore(), calls: () => calls };
}

describe("stopped anywhere, the next run ends with the same bytes", () => {
  it.each<Method>(["write", "datasync", "appendFile", "writeFile"])("in %s", async (method) => {
    let stops = 0;
    let kept = 0;
    for (let nth = 1; ; ++nth) {
      const directory = fresh();
      const { restore, calls } = await stopAt(method, nth);
      const error = await run(directory).then(
        () => null,
        (reason: unknown) => reason,
      );
      restore();
      if (calls() < nth) break;
      expect(error).toEqual(expect.objectContaining({ message: "stopped" }));
      stops += 1;
      kept = Math.max(kept, await run(directory));
      expect(filesOf(directory)).toEqual(expected);
    }
    expect(stops).toBeGreaterThan(0);
    if (method !== "writeFile") expect(kept).toBeGreaterThan(3);
  });

  it("with files or the journal cut at any length", async () => {
    const stopped = fresh();
    await run(stopped, { upTo: 5 });
    for (const name of readdirSync(stopped)) {
      const { length } = readFileSync(join(stopped, name));
      const steps = new Set([0, 1, length - 1, ...Array.from({ length: 12 }, (_, i) => Math.floor((length * i) / 12))]);
      for (const size of [...steps].filter((step) => step >= 0)) {
        const directory = fresh();
        cpSync(stopped, directory, { recursive: true });
        truncateSync(join(directory, name), size);
        await run(directory);
        expect(filesOf(directory)).toEqual(expected);
      }
    }
  });

  it("with rubbish behind the journal's last line and behind the data", async () => {
    const directory = fresh();
    await run(directory, { upTo: 4 });
    for (const name of readdirSync(directory)) writeFileSync(join(directory, name), "rubbish{", { flag: "a" });
    expect(await run(directory)).toBe(4);
    expect(filesOf(directory)).toEqual(expected);
  });
});

it.each(["model-00001-of-00009.safetensors", "shard-7.main"])(
  "another signature begins anew: %s goes",
  async (stale) => {
    const directory = fresh();
    await run(directory, { upTo: 5, maxShardBytes: 150 });
    writeFileSync(join(directory, stale), "of another run");
    expect(await run(directory)).toBe(0);
    expect(filesOf(directory)).toEqual(expected);
    const other = fresh();
    await run(other, { upTo: 3 });
    expect(await run(other, { signature: "b" })).toBe(0);
    expect(filesOf(other)).toEqual(expected);
  },
);

it("a part that is short of its shape is refused", async () => {
  const writer = await openIn(fresh());
  const short = { ...part("layers.0.bias", "F32", [4]), pieces: [new Uint8Array(12)] };
  await expect(writer.append("layers.0", [short], 0)).rejects.toThrow("layers.0.bias: 4 bytes short of its shape");
  await writer.close();
});
