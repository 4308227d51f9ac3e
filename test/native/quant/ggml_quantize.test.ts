import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { temporaryDirectory } from "../../temporary.js";

interface Fixture {
  rows: number;
  cols: number;
  values: string;
  blocks: Record<string, string>;
  rowErrors: Record<string, number[]>;
}

const fixture = JSON.parse(readFileSync(join(__dirname, "../../fixtures/gguf/quantized.json"), "utf8")) as Fixture;
const directory = temporaryDirectory();
let count = 0;

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

const values = floats(Buffer.from(fixture.values, "base64"));

interface Place {
  rows: number;
  cols: number;
  type?: string;
  interleaveHeads?: number;
  rowBegin?: number;
  rowCount?: number;
}

/** Quantizes `stored`, f32 unless `from` says otherwise. */
async function quantize(
  stored: Uint8Array,
  type: string,
  { rows, cols, type: from = "f32", ...more }: Place,
): Promise<Buffer> {
  const path = join(directory, `${count++}.bin`);
  writeFileSync(path, stored);
  const file = new binding.MappedFile(path);
  try {
    const source = { offset: 0, sizeBytes: stored.length, type: from, rows, cols, permuteHeads: 0 };
    return Buffer.from(await binding.encodeBlocks(file, source, { type, ...more }));
  } finally {
    file.close();
  }
}

async function dequantize(blocks: Uint8Array, type: string, rows: number, cols: number): Promise<Float32Array> {
  const path = join(directory, `${count++}.bin`);
  writeFileSync(path, blocks);
  const file = new binding.MappedFile(path);
  const out = new Float32Array(rows * cols);
  const source = { offset: 0, sizeBytes: blocks.length, type, rows, cols, permuteHeads: 0 };
  await binding.readTensor(file, source, {}, new Uint8Array(out.buffer));
  file.close();
  return out;
}

const bytesOf = (list: ArrayLike<number>): Uint8Array => new Uint8Array(Float32Array.from(list).buffer);
const { rows, cols } = fixture;
const writable = binding.sourceTypes().filter((type) => type.writable);

it.each(Object.keys(fixture.blocks))("%s equals the gguf package bit for bit", async (type) => {
  const expected = Buffer.from(fixture.blocks[type]!, "base64");
  const found = await quantize(bytesOf(values), type, { rows, cols });
  expect(found.equals(expected)).toBe(true);
  expected[7]! ^= 1;
  expect(found.equals(expected)).toBe(false);
});

it.each(Object.keys(fixture.rowErrors))("%s is as near as llama.cpp's own search, row by row", async (type) => {
  const blocks = await quantize(bytesOf(values), type, { rows, cols });
  const back = await dequantize(blocks, type, rows, cols);
  fixture.rowErrors[type]!.forEach((theirs, row) => {
    let sum = 0;
    for (let i = row * cols; i < (row + 1) * cols; ++i) sum += (back[i]! - values[i]!) ** 2;
    expect(Math.sqrt(sum / cols)).toBeLessThanOrEqual(1.005 * theirs + 1e-9);
  });
});

it("gives the same bytes whatever is asked for at once", async () => {
  for (const { name, blockBytes, blockElements } of writable) {
    const whole = await quantize(bytesOf(values), name, { rows, cols });
    const part = await quantize(bytesOf(values), name, { rows, cols, rowBegin: 5, rowCount: 3 });
    const rowBytes = (cols / blockElements) * blockBytes;
    expect(part.equals(whole.subarray(5 * rowBytes, 8 * rowBytes))).toBe(true);
    expect((await quantize(bytesOf(values), name, { rows, cols, rowBegin: 12, rowCount: 0 })).length).toBe(0);
  }
});

it("copies blocks that are of the type already, and requantizes others from their values", async () => {
  const q4 = await quantize(bytesOf(values), "q4_1", { rows, cols });
  expect((await quantize(q4, "q4_1", { rows, cols, type: "q4_1" })).equals(q4)).toBe(true);
  const back = await dequantize(q4, "q4_1", rows, cols);
  const again = await quantize(q4, "q8_0", { rows, cols, type: "q4_1" });
  expect(again.equals(await quantize(bytesOf(back), "q8_0", { rows, cols }))).toBe(true);
});

it("interleaves the halves of heads, which reading undoes", async () => {
  // Two heads of six rows: 0 3 1 4 2 5, then the same from 6.
  const list = Float32Array.from({ length: 12 * 32 }, (_, i) => Math.floor(i / 32));
  const found = floats(await quantize(bytesOf(list), "f32", { rows: 12, cols: 32, interleaveHeads: 2 }));
  expect([...found].filter((_, i) => i % 32 === 0)).toEqual([0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
  const vector = floats(await quantize(bytesOf([0, 1, 2, 3, 4, 5]), "f32", { rows: 1, cols: 6, interleaveHeads: 1 }));
  expect([...vector]).toEqual([0, 3, 1, 4, 2, 5]);
});

describe("awkward values", () => {
  it.each(writable.map((type) => [type.name, type.blockElements] as const))(
    "%s keeps zeros and tiny values finite",
    async (type, block) => {
      const size = Math.max(block, 4);
      const tiny = Float32Array.from({ length: 3 * size }, (_, i) =>
        i < size ? 0 : i < 2 * size ? 1e-40 : -1e-30 * (i % 7),
      );
      const back = await dequantize(await quantize(bytesOf(tiny), type, { rows: 3, cols: size }), type, 3, size);
      expect(back.every((value) => Math.abs(value) <= 1e-29)).toBe(true);
    },
  );

  it.each(writable.map((type) => [type.name, type.blockElements] as const))(
    "%s refuses NaN and infinity, naming the place",
    async (type, block) => {
      for (const bad of [NaN, Infinity, -Infinity]) {
        const cols = 2 * Math.max(block, 4);
        const list = new Float32Array(3 * cols).fill(1);
        list[2 * cols + 3] = bad;
        await expect(quantize(bytesOf(list), type, { rows: 3, cols })).rejects.toThrow(
          expect.objectContaining({
            code: "ERR_WEIGHT_VALUE",
            message: expect.stringContaining("row 2, column 3"),
          }) as Error,
        );
      }
    },
  );

  it.each(
    writable
      .filter(({ name }) => !["f32", "bf16"].includes(name))
      .map((type) => [type.name, type.blockElements] as const),
  )("%s refuses what is beyond its range", async (type, block) => {
    for (const value of [1e12, -1e30, 3e38]) {
      const list = Float32Array.from({ length: 2 * block }, (_, i) => (i % 2 === 0 ? value : -value / 2));
      await expect(quantize(bytesOf(list), type, { rows: 1, cols: list.length })).rejects.toMatchObject({
        code: "ERR_WEIGHT_VALUE",
        message: expect.stringContaining(type) as string,
      });
    }
  });

  it("refuses shapes and types that cannot be", async () => {
    const bytes = bytesOf(new Float32Array(96));
    const refused = (type: string, place: Place): Promise<Buffer> => quantize(bytes, type, place);
    await expect(refused("q4_k", { rows: 1, cols: 96 })).rejects.toMatchObject({ code: "ERR_SHAPE" });
    await expect(refused("q8_0", { rows: 2, cols: 48 })).rejects.toMatchObject({ code: "ERR_SHAPE" });
    await expect(refused("f32", { rows: 3, cols: 32, interleaveHeads: 2 })).rejects.toMatchObject({
      code: "ERR_SHAPE",
    });
    await expect(refused("f32", { rows: 3, cols: 32, rowBegin: 2, rowCount: 2 })).rejects.toMatchObject({
      code: "ERR_ARGUMENT",
    });
    for (const type of ["q2_k", "f64", ""])
      await expect(refused(type, { rows: 3, cols: 32 })).rejects.toThrow(
        expect.objectContaining({ code: "ERR_GGUF_TYPE", message: expect.stringContaining("q6_k") as string }) as Error,
      );
  });
});
