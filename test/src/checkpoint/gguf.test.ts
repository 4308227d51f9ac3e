import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readGgufHeader } from "../../../src/checkpoint/gguf.js";
import {
  coded,
  entry,
  ggufBytes,
  text,
  tinyEntries,
  tinyGgufTensors,
  u32,
  u64,
  type Entry,
  type GgufTensorBytes,
} from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

const path = join(temporaryDirectory(), "m.gguf");

function read(bytes: Buffer): ReturnType<typeof readGgufHeader> {
  writeFileSync(path, bytes);
  return readGgufHeader(path);
}

const tensors = tinyGgufTensors();

/** The tiny model with its second tensor changed. */
function lie(change: Partial<GgufTensorBytes>): Buffer {
  return ggufBytes({ tensors: tensors.map((tensor, i) => (i === 1 ? { ...tensor, ...change } : tensor)) });
}

function withEntry(...more: Entry[]): Buffer {
  return ggufBytes({ entries: [...tinyEntries, ...more] });
}

it("reads every kind of value", async () => {
  const double = Buffer.alloc(8);
  double.writeDoubleLE(0.1);
  const entries: Entry[] = [
    ["u8", 0, Buffer.from([200])],
    ["i8", 1, Buffer.from([200])],
    ["u16", 2, Buffer.from([1, 2])],
    ["i16", 3, Buffer.from([255, 255])],
    entry.u32("u32", 2 ** 32 - 1),
    ["i32", 5, u32(2 ** 32 - 2)],
    entry.f32("f32", 0.5),
    ["bool", 7, Buffer.from([1])],
    entry.string("string", "naïve 🌳"),
    entry.strings("strings", ["a", "b".repeat(300), ""]),
    ["u64", 10, u64(2n ** 64n - 1n)],
    ["i64", 11, u64(2n ** 64n - 5n)],
    ["f64", 12, double],
    ["u16s", 9, Buffer.concat([u32(2), u64(5000), Buffer.alloc(10000, 1)])],
  ];
  const { metadata, version } = await read(ggufBytes({ entries, version: u32(2) }));
  expect(version).toBe(2);
  expect(Object.fromEntries(metadata)).toEqual({
    u8: 200,
    i8: -56,
    u16: 513,
    i16: -1,
    u32: 2 ** 32 - 1,
    i32: -2,
    f32: 0.5,
    bool: true,
    string: "naïve 🌳",
    strings: ["a", "b".repeat(300), ""],
    u64: 2n ** 64n - 1n,
    i64: -5,
    f64: 0.1,
    u16s: Array<number>(5000).fill(257),
  });
});

it("reads arrays and strings that cross its window", async () => {
  const many = Array.from({ length: 150_000 }, (_, i) => `token number ${i}`);
  const long = "é".repeat(2_000_000);
  const { metadata } = await read(withEntry(entry.strings("many", many), entry.string("long", long)));
  expect(metadata.get("many")).toEqual(many);
  expect(metadata.get("long")).toBe(long);
});

it("places tensors after the header, aligned", async () => {
  const header = await read(
    ggufBytes({ entries: [...tinyEntries, entry.u32("general.alignment", 64)], alignment: 64 }),
  );
  expect(header.dataOffset % 64).toBe(0);
  expect(header.tensors[0]).toMatchObject({ name: "token_embd.weight", shape: [32, 32], offset: header.dataOffset });
});

const whole = ggufBytes();
const cases: [string, () => Buffer, string, string[]][] = [
  ["an empty file", () => Buffer.alloc(0), "ERR_FILE_TRUNCATED", ["magic"]],
  ["a bad magic", () => ggufBytes({ magic: "GGML" }), "ERR_GGUF_HEADER", ["magic", "GGML"]],
  ["version 1", () => ggufBytes({ version: u32(1) }), "ERR_GGUF_VERSION", ["found 1"]],
  ["version 4", () => ggufBytes({ version: u32(4) }), "ERR_GGUF_VERSION", ["found 4"]],
  ["a big-endian file", () => ggufBytes({ version: Buffer.from([0, 0, 0, 3]) }), "ERR_GGUF_VERSION", ["big-endian"]],
  ["too many tensors", () => ggufBytes({ tensorCount: 2n ** 60n }), "ERR_GGUF_HEADER", ["tensor_count"]],
  ["too many entries", () => ggufBytes({ entryCount: 100_000 }), "ERR_GGUF_HEADER", ["metadata_kv_count"]],
  ["one tensor too many", () => ggufBytes({ tensorCount: tensors.length + 1 }), "", []],
  ["one entry too many", () => ggufBytes({ entryCount: tinyEntries.length + 1 }), "", []],
  [
    "a key twice",
    () => withEntry(entry.u32("llama.block_count", 1)),
    "ERR_GGUF_HEADER",
    ["llama.block_count", "twice"],
  ],
  ["an unknown value type", () => withEntry(["x", 13, u32(0)]), "ERR_GGUF_HEADER", ["x", "13"]],
  [
    "an array of arrays",
    () => withEntry(["x", 9, Buffer.concat([u32(9), u64(1)])]),
    "ERR_GGUF_HEADER",
    ["x", "arrays of arrays"],
  ],
  ["a huge array", () => withEntry(["x", 9, Buffer.concat([u32(0), u64(2n ** 63n)])]), "ERR_GGUF_HEADER", ["x"]],
  ["a huge string", () => withEntry(["x", 8, u64(2n ** 40n)]), "ERR_GGUF_HEADER", ["x", "length"]],
  ["a string beyond the end", () => withEntry(["x", 8, u64(60_000)]), "ERR_GGUF_HEADER", ["x", "end of the file"]],
  [
    "a huge key",
    () => ggufBytes({ entries: [["k".repeat(70_000), 4, u32(1)]] }),
    "ERR_GGUF_HEADER",
    ["key 0", "65535"],
  ],
  [
    "a key that is no UTF-8",
    () => Buffer.concat([whole.subarray(0, 32), Buffer.from([0xff]), whole.subarray(33)]),
    "ERR_GGUF_HEADER",
    ["UTF-8"],
  ],
  [
    "an odd alignment",
    () => withEntry(entry.u32("general.alignment", 48)),
    "ERR_GGUF_METADATA",
    ["general.alignment", "48"],
  ],
  ["an alignment of 0", () => withEntry(entry.u32("general.alignment", 0)), "ERR_GGUF_METADATA", ["general.alignment"]],
  ["a tensor twice", () => lie({ name: tensors[0]!.name }), "ERR_GGUF_TENSOR", ["token_embd.weight", "twice"]],
  ["a long name", () => lie({ name: "n".repeat(300) }), "ERR_GGUF_HEADER", ["name of tensor 1"]],
  ["no dimensions", () => lie({ dims: [] }), "ERR_GGUF_TENSOR", ["1 to 4 dimensions, found 0"]],
  ["five dimensions", () => lie({ dims: [1, 1, 1, 1, 32] }), "ERR_GGUF_TENSOR", ["found 5"]],
  ["a dimension of 0", () => lie({ dims: [0] }), "ERR_GGUF_TENSOR", ["cannot be"]],
  ["an overflowing shape", () => lie({ dims: [2n ** 62n, 4] }), "ERR_GGUF_TENSOR", ["cannot be"]],
  ["a shape beyond the file", () => lie({ dims: [2 ** 30] }), "ERR_FILE_TRUNCATED", ["ends at byte"]],
  ["an unknown tensor type", () => lie({ type: 999 }), "ERR_GGUF_TYPE", ["999"]],
  ["part of a block", () => lie({ dims: [31], type: 8 }), "ERR_GGUF_TENSOR", ["blocks of 32"]],
  ["a misaligned offset", () => lie({ offset: 4097 }), "ERR_GGUF_TENSOR", ["multiple of 32", "4097"]],
  ["an offset beyond the file", () => lie({ offset: 2n ** 62n }), "ERR_GGUF_TENSOR", ["offset"]],
  ["an overlap", () => lie({ offset: 0 }), "ERR_GGUF_TENSOR", ["overlap"]],
  ["data cut short", () => whole.subarray(0, whole.length - 200), "ERR_FILE_TRUNCATED", ["the file at"]],
  ["a header cut short", () => whole.subarray(0, 400), "", []],
];

it.each(cases)("refuses %s", async (_, bytes, code, parts) => {
  await expect(read(bytes())).rejects.toThrow(
    code === "" ? (expect.objectContaining({ name: "EspalierError" }) as Error) : coded(code, path, ...parts),
  );
});

it("leaves nothing of a string's bytes unread", async () => {
  const { metadata } = await read(withEntry(["x", 8, text("end")]));
  expect(metadata.get("x")).toBe("end");
});
