import { mkdirSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { binding, type TensorSource } from "../../../src/binding.js";
import { temporaryDirectory } from "../../temporary.js";

const directory = temporaryDirectory();
let count = 0;

function fileOf(bytes: number): string {
  const path = join(directory, `${count++}.bin`);
  writeFileSync(path, Buffer.alloc(bytes, 1));
  return path;
}

function f32(offset: number, rows: number, cols: number): TensorSource {
  return { offset, sizeBytes: rows * cols * 4, type: "f32", rows, cols, permuteHeads: 0 };
}

/** Matches an error by its code. */
const code = (value: string): Error => expect.objectContaining({ code: value }) as Error;

describe("MappedFile", () => {
  it("tells its path and size", () => {
    const path = fileOf(64);
    const file = new binding.MappedFile(path);
    expect(file).toMatchObject({ path, sizeBytes: 64, closed: false });
    file.close();
    file.close();
    expect(file.closed).toBe(true);
  });

  it("refuses what cannot be mapped", () => {
    mkdirSync(join(directory, "folder"));
    expect(() => new binding.MappedFile(join(directory, "nowhere"))).toThrow(code("ERR_FILE_OPEN"));
    expect(() => new binding.MappedFile(join(directory, "folder"))).toThrow(code("ERR_FILE_OPEN"));
    expect(() => new binding.MappedFile(fileOf(0))).toThrow(code("ERR_FILE_OPEN"));
    expect(() => new binding.MappedFile(`${fileOf(8)}\0x`)).toThrow(code("ERR_FILE_OPEN"));
    expect(() => new binding.MappedFile("/dev/zero")).toThrow(code("ERR_FILE_OPEN"));
    expect(() => new binding.MappedFile(7 as unknown as string)).toThrow(code("ERR_ARGUMENT"));
  });

  it("reports a file cut short after it was mapped", async () => {
    const path = fileOf(1 << 20);
    const file = new binding.MappedFile(path);
    const source = f32(0, 512, 512);
    const out = new Uint8Array(1 << 20);
    await binding.readTensor(file, source, {}, out);
    truncateSync(path, 100);
    expect(() => binding.readTensor(file, source, {}, out)).toThrow(code("ERR_FILE_TRUNCATED"));
  });

  it("refuses reads of a closed file, and finishes those under way", async () => {
    const file = new binding.MappedFile(fileOf(1 << 20));
    const out = new Uint8Array(1 << 20);
    const reading = binding.readTensor(file, f32(0, 512, 512), {}, out);
    file.close();
    await reading;
    expect(out[(1 << 20) - 1]).toBe(1);
    expect(() => binding.readTensor(file, f32(0, 512, 512), {}, out)).toThrow(code("ERR_FILE_CLOSED"));
  });

  it("is closed when it is collected", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const path = fileOf(64);
    const descriptors = (): number => readdirSync("/proc/self/fd").length;
    const before = descriptors();
    for (let i = 0; i < 100; ++i) new binding.MappedFile(path);
    expect(descriptors()).toBeGreaterThan(before + 50);
    for (let i = 0; i < 20 && descriptors() > before + 5; ++i) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(descriptors()).toBeLessThanOrEqual(before + 5);
  });

  it("works in a worker that is stopped while it reads", async () => {
    const script = `
      const { workerData, parentPort } = require("node:worker_threads");
      const binding = require(workerData.addon);
      const file = new binding.MappedFile(workerData.path);
      const out = new Uint8Array(1 << 24);
      const source = { offset: 0, sizeBytes: 1 << 24, type: "f32", rows: 1, cols: 1 << 22 };
      for (let i = 0; i < 8; ++i) binding.readTensor(file, source, {}, out);
      parentPort.postMessage("reading");`;
    const addon = join(__dirname, "../../../build/Release/espalier.node");
    const worker = new Worker(script, { eval: true, workerData: { addon, path: fileOf(1 << 24) } });
    await new Promise((resolve) => worker.once("message", resolve));
    expect(await worker.terminate()).toBe(1);
  });
});

describe("readTensor checks what it is told", () => {
  const file = new binding.MappedFile(fileOf(4096));
  const rows: [string, string, Partial<TensorSource>][] = [
    ["beyond the end", "ERR_FILE_TRUNCATED", { offset: 4090 }],
    ["far beyond the end", "ERR_FILE_TRUNCATED", { offset: Number.MAX_SAFE_INTEGER }],
    ["a size that does not fit the shape", "ERR_SHAPE", { sizeBytes: 100 }],
    ["an overflowing shape", "ERR_SHAPE", { rows: 2 ** 50, cols: 2 ** 50 }],
    ["a negative offset", "ERR_ARGUMENT", { offset: -1 }],
    ["a fraction", "ERR_ARGUMENT", { rows: 1.5 }],
    ["not a number", "ERR_ARGUMENT", { cols: NaN }],
    ["an unknown type", "ERR_GGUF_TYPE", { type: "iq4_xs" }],
    ["columns that are no multiple of the block", "ERR_SHAPE", { type: "q8_0", cols: 8, sizeBytes: 34 }],
    ["heads that do not divide the rows", "ERR_SHAPE", { permuteHeads: 3 }],
    ["heads of an odd size", "ERR_SHAPE", { permuteHeads: 4 }],
  ];
  it.each(rows)("%s", (_, expected, change) => {
    const source = { ...f32(0, 4, 8), ...change };
    expect(() => binding.readTensor(file, source, {}, new Uint8Array(128))).toThrow(code(expected));
  });

  it("rows out of range, a small output, a wrong dtype and a foreign file", async () => {
    const source = f32(0, 4, 8);
    const out = new Uint8Array(64);
    await expect(binding.readTensor(file, source, { rowBegin: 3, rowCount: 2 }, out)).rejects.toThrow(
      code("ERR_ARGUMENT"),
    );
    expect(() => binding.readTensor(file, source, {}, out)).toThrow(code("ERR_ARGUMENT"));
    expect(() => binding.readTensor(file, source, { dtype: "i8" as "f32" }, new Uint8Array(32))).toThrow(
      code("ERR_ARGUMENT"),
    );
    expect(() => binding.readTensor({} as typeof file, source, {}, out)).toThrow(code("ERR_ARGUMENT"));
  });
});
