import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { temporaryDirectory } from "../../temporary.js";

interface Blocks {
  types: Record<string, { stored: string; expected: string }>;
}

const blocks = JSON.parse(readFileSync(join(__dirname, "../../fixtures/gguf/blocks.json"), "utf8")) as Blocks;
const directory = temporaryDirectory();

/** Reads `stored` as [rows, cols] with the tensor beginning at an odd byte of the file. */
async function read(type: string, stored: Buffer, rows: number, cols: number): Promise<Buffer> {
  const path = join(directory, `${type}.bin`);
  writeFileSync(path, Buffer.concat([Buffer.alloc(7), stored]));
  const file = new binding.MappedFile(path);
  const out = new Float32Array(rows * cols);
  const source = { offset: 7, sizeBytes: stored.length, type, rows, cols, permuteHeads: 0 };
  await binding.readTensor(file, source, {}, new Uint8Array(out.buffer));
  file.close();
  return Buffer.from(out.buffer);
}

describe("stored types", () => {
  it("are those of the fixture", () => {
    expect(
      binding
        .sourceTypes()
        .map((type) => type.name)
        .sort(),
    ).toEqual(Object.keys(blocks.types).sort());
  });

  it.each(Object.keys(blocks.types))("%s equals the gguf package bit for bit", async (type) => {
    const { stored, expected } = blocks.types[type]!;
    const wanted = Buffer.from(expected, "base64");
    const rows = 4;
    const found = await read(type, Buffer.from(stored, "base64"), rows, wanted.length / 4 / rows);
    expect(found.equals(wanted)).toBe(true);
    wanted[5]! ^= 1;
    expect(found.equals(wanted)).toBe(false);
  });

  it("reads tensors larger than its buffer", async () => {
    const wanted = new Float32Array(1_500_007).map((_, i) => i);
    expect((await read("f32", Buffer.from(wanted.buffer), 1, wanted.length)).equals(Buffer.from(wanted.buffer))).toBe(
      true,
    );
  });
});
