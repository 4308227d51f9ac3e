/** Megatron's token files, byte for byte both ways, and files that are none. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  DOCUMENT_END,
  dtypeForVocab,
  IndexedDataset,
  IndexedDatasetWriter,
} from "../../../src/data/indexed-dataset/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { copyPair, dataFixtures, oracle, writePair } from "./fixtures.js";

const names = ["int32", "uint16"] as const;

describe.each(names)("%s, written by Megatron", (name) => {
  const documents = oracle.pairs[name];

  it("is read", async () => {
    await using data = await IndexedDataset.open(join(dataFixtures, name));
    expect([data.dtype, data.documentCount, data.sequenceCount]).toEqual([
      name,
      documents.length,
      documents.flat().length,
    ]);
    expect([...data.documents]).toEqual(documents.reduce((ends, d) => [...ends, ends.at(-1)! + d.length], [0]));
    for (const [i, sequence] of documents.flat().entries()) {
      expect([...(await data.read(i))]).toEqual(sequence);
      expect([...(await data.read(i, 1, sequence.length - 1))]).toEqual(sequence.slice(1));
    }
    expect(data.tokens).toBe(documents.flat(2).length);
  });

  it("is written with the same bytes", async () => {
    const directory = temporaryDirectory();
    await writePair(join(directory, name), documents, name);
    expect(readdirSync(directory).sort()).toEqual([`${name}.bin`, `${name}.idx`]);
    for (const file of [`${name}.bin`, `${name}.idx`])
      expect(readFileSync(join(directory, file)).equals(readFileSync(join(dataFixtures, file)))).toBe(true);
  });

  it("is written with the same bytes when it was interrupted after any document", async () => {
    const prefix = join(temporaryDirectory(), name);
    const array = (ids: number[]): Int32Array | Uint16Array => (name === "int32" ? Int32Array : Uint16Array).from(ids);
    let state = { tokens: 0, sequences: 0, documents: 0 };
    for (const document of documents) {
      const writer = await IndexedDatasetWriter.create(prefix, name, state);
      await writer.append(array(document.flat()), Int32Array.from([...document.map((s) => s.length), DOCUMENT_END]));
      state = writer.state;
      await writer.append(array([1, 2]), Int32Array.of(2, DOCUMENT_END)); // lost: no state was kept of it
      await writer.close();
    }
    await (await IndexedDatasetWriter.create(prefix, name, state)).finish();
    for (const suffix of [".bin", ".idx"])
      expect(readFileSync(prefix + suffix).equals(readFileSync(join(dataFixtures, name + suffix)))).toBe(true);
  });
});

it("writes the layout's example", async () => {
  const prefix = await writePair(join(temporaryDirectory(), "example"), [[[1, 2, 3]], [[4, 5]]]);
  const expected = `4d4d494449445800000100000000000000 04 0200000000000000 0300000000000000 03000000 02000000
    0000000000000000 0c00000000000000 0000000000000000 0100000000000000 0200000000000000`;
  expect(readFileSync(`${prefix}.idx`).toString("hex")).toBe(expected.replace(/\s/g, ""));
});

it("stores small vocabularies in 16 bits", () => {
  expect([2048, 65499, 65500, 128256].map(dtypeForVocab)).toEqual(["uint16", "uint16", "int32", "int32"]);
});

it.each([
  ["uint8", 1, 1, [0, 255]],
  ["int8", 2, 1, [-1, 127]],
  ["int16", 3, 2, [-2, 30000]],
  ["int64", 5, 8, [-1, 2 ** 31 - 1]],
] as const)("reads %s", async (dtype, code, bytes, values) => {
  const prefix = await writePair(join(temporaryDirectory(), dtype), [[[0, 0]]]);
  const idx = readFileSync(`${prefix}.idx`);
  idx[17] = code;
  writeFileSync(`${prefix}.idx`, idx);
  const bin = Buffer.alloc(2 * bytes);
  values.forEach((value, i) =>
    bytes === 8
      ? bin.writeBigInt64LE(BigInt(value), 8 * i)
      : bin.writeIntLE(value > 127 && bytes === 1 ? value - 256 : value, i * bytes, bytes),
  );
  writeFileSync(`${prefix}.bin`, bin);
  await using data = await IndexedDataset.open(prefix);
  expect([data.dtype, ...(await data.read(0))]).toEqual([dtype, ...values]);
});

describe("refuses", () => {
  const at = (offset: number, value: bigint) => (idx: Buffer) => {
    idx.writeBigInt64LE(value, offset);
    return idx;
  };
  const sequences = oracle.pairs.int32.flat().length;
  const pointers = 34 + 4 * sequences;
  const documents = 34 + 12 * sequences;
  const last = documents + 8 * oracle.pairs.int32.length;

  it.each<[string, (idx: Buffer) => Buffer, string, RegExp]>([
    ["an empty file", () => Buffer.alloc(0), "ERR_DATA_MAGIC", /expected a Megatron index/],
    ["another file", () => Buffer.from("TNTIDX\0\0 and more"), "ERR_DATA_MAGIC", /found "TNTIDX/],
    ["a cut header", (idx) => idx.subarray(0, 20), "ERR_FILE_TRUNCATED", /header takes 34 bytes, found 20/],
    ["another version", at(9, 2n), "ERR_DATA_VERSION", /expected 1, found 2/],
    ["floats", (idx) => (idx.writeUInt8(7, 17), idx), "ERR_DATA_DTYPE", /found 7 \(a float type/],
    ["an unknown dtype", (idx) => (idx.writeUInt8(99, 17), idx), "ERR_DATA_DTYPE", /found 99 \(unknown/],
    ["a count beyond the file", at(18, 1n << 40n), "ERR_FILE_TRUNCATED", /the file ends at/],
    ["a count that is negative", at(18, -1n), "ERR_FILE_TRUNCATED", /18446744073709551615 sequences/],
    ["a smaller count", at(18, 3n), "ERR_DATA_INDEX", /3 sequences/],
    ["a cut end", (idx) => idx.subarray(0, -1), "ERR_FILE_TRUNCATED", /the file ends at/],
    ["sequence modes", (idx) => Buffer.concat([idx, Buffer.alloc(sequences)]), "ERR_DATA_INDEX", /multimodal/],
    ["a negative length", (idx) => (idx.writeInt32LE(-5, 34), idx), "ERR_DATA_INDEX", /length of sequence 0.*-5/],
    [
      "a length that its pointers contradict",
      (idx) => (idx.writeInt32LE(1, 34), idx),
      "ERR_DATA_INDEX",
      /pointer of sequence 1/,
    ],
    ["pointers out of order", at(pointers + 8, 0n), "ERR_DATA_INDEX", /pointer of sequence 1: expected \d+, .*found 0/],
    ["a negative pointer", at(pointers, -4n), "ERR_DATA_INDEX", /pointer of sequence 0: expected 0, .*found -4/],
    ["documents that begin late", at(documents, 1n), "ERR_DATA_INDEX", /document index 0: expected 0, found 1/],
    ["documents out of order", at(documents + 16, 0n), "ERR_DATA_INDEX", /document index 2: expected 1 to/],
    ["documents beyond the sequences", at(documents + 16, 1n << 33n), "ERR_DATA_INDEX", /found 8589934592/],
    ["documents that leave some out", at(last, BigInt(sequences - 1)), "ERR_DATA_INDEX", /the last document index/],
  ])("%s", async (_name, damage, code, message) => {
    const prefix = copyPair("int32", temporaryDirectory());
    writeFileSync(`${prefix}.idx`, damage(readFileSync(`${prefix}.idx`)));
    await expect(IndexedDataset.open(prefix)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    await expect(IndexedDataset.open(prefix)).rejects.toThrow(`${prefix}.idx: `);
  });

  it("a .bin of another size, and none", async () => {
    const prefix = copyPair("uint16", temporaryDirectory());
    const bin = readFileSync(`${prefix}.bin`);
    for (const other of [bin.subarray(0, -2), Buffer.concat([bin, bin])]) {
      writeFileSync(`${prefix}.bin`, other);
      await expect(IndexedDataset.open(prefix)).rejects.toMatchObject({
        code: "ERR_DATA_BIN",
        message: `${prefix}.bin: the index describes ${bin.length} bytes, found ${other.length}`,
      });
    }
    await expect(IndexedDataset.open(`${prefix}-none`)).rejects.toMatchObject({ code: "ERR_FILE_OPEN" });
  });

  it("ids beyond 32 bits, and reads beyond a sequence", async () => {
    const prefix = await writePair(join(temporaryDirectory(), "wide"), [[[0, 0]]]);
    const idx = readFileSync(`${prefix}.idx`);
    idx[17] = 5;
    writeFileSync(`${prefix}.idx`, idx);
    const bin = Buffer.alloc(16);
    bin.writeBigInt64LE(1n << 31n, 8);
    writeFileSync(`${prefix}.bin`, bin);
    await using data = await IndexedDataset.open(prefix);
    await expect(data.read(0)).rejects.toMatchObject({
      code: "ERR_TOKEN_ID",
      message: expect.stringMatching(/2147483648/),
    });
    for (const [sequence, offset, count] of [
      [1, 0, 1],
      [-1, 0, 1],
      [0, 0, 3],
      [0, -1, 1],
      [0, 2, 1],
      [0, 0.5, 1],
    ] as const)
      await expect(data.read(sequence, offset, count)).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
  });
});

it("a flipped bit is noticed, or leaves an index that holds together", async () => {
  const prefix = copyPair("uint16", temporaryDirectory());
  const whole = readFileSync(`${prefix}.idx`);
  const documentIndices = 34 + 12 * oracle.pairs.uint16.flat().length;
  for (let i = 0; i < 300; ++i) {
    const idx = Buffer.from(whole);
    const place = (i * 7919) % idx.length;
    idx[place]! ^= 1 << (i % 8);
    writeFileSync(`${prefix}.idx`, idx);
    if (place >= documentIndices) {
      const data = await IndexedDataset.open(prefix).catch(() => null);
      if (data !== null) expect([...data.documents]).toEqual([...data.documents].sort((a, b) => a - b));
      await data?.close();
      continue;
    }
    await expect(IndexedDataset.open(prefix)).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_(DATA|FILE)_/),
    });
  }
});
