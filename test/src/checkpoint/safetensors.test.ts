import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSafetensorsHeader } from "../../../src/checkpoint/safetensors.js";
import { coded, safetensorsBytes, safetensorsHeader, tinyTensors, type Json } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

const directory = temporaryDirectory();
const tensors = tinyTensors().slice(0, 3);
const whole = safetensorsBytes(tensors);
const path = join(directory, "m.safetensors");

function read(bytes: Buffer): ReturnType<typeof readSafetensorsHeader> {
  writeFileSync(path, bytes);
  return readSafetensorsHeader(path);
}

/** The true header with one tensor's fields changed. */
function lie(change: Json): Buffer {
  const header = safetensorsHeader(tensors);
  const name = tensors[1]!.name;
  header[name] = { ...(header[name] as Json), ...change };
  return safetensorsBytes(tensors, header);
}

function withLength(length: bigint): Buffer {
  const bytes = Buffer.from(whole);
  bytes.writeBigUInt64LE(length);
  return bytes;
}

it("reads names, types, shapes and places", async () => {
  const header = await read(whole);
  expect(header.metadata).toEqual({ format: "pt" });
  let offset = header.dataOffset;
  expect(header.fileBytes).toBe(whole.length);
  for (const [i, tensor] of tensors.entries()) {
    const { name, shape, bytes } = tensor;
    expect(header.tensors[i]).toEqual({ name, shape, type: "f32", offset, sizeBytes: bytes.length });
    offset += bytes.length;
  }
});

it("accepts empty tensors, scalars and a name that is a property of every object", async () => {
  const odd = [
    { name: "empty", dtype: "F16", shape: [0, 5], bytes: Buffer.alloc(0) },
    { name: "__proto__", dtype: "I64", shape: [], bytes: Buffer.alloc(8) },
  ];
  const header = safetensorsHeader(odd);
  const bytes = safetensorsBytes(
    odd,
    `{"__proto__":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"empty":${JSON.stringify(header["empty"])}}`,
  );
  expect((await read(bytes)).tensors.map((tensor) => tensor.name).sort()).toEqual(["__proto__", "empty"]);
});

const text = JSON.stringify(safetensorsHeader(tensors));
const cases: [string, () => Buffer, string, string[]][] = [
  ["an empty file", () => Buffer.alloc(0), "ERR_FILE_TRUNCATED", ["8 bytes", "has 0"]],
  ["half a length", () => whole.subarray(0, 5), "ERR_FILE_TRUNCATED", ["has 5"]],
  ["a header cut short", () => whole.subarray(0, 100), "ERR_FILE_TRUNCATED", ["header ends", "100"]],
  ["data cut short", () => whole.subarray(0, whole.length - 1), "ERR_FILE_TRUNCATED", [`${whole.length - 1}`]],
  ["trailing bytes", () => Buffer.concat([whole, Buffer.alloc(3)]), "ERR_SAFETENSORS_TENSOR", ["3 bytes follow"]],
  ["a length beyond the file", () => withLength(99_999_999n), "ERR_FILE_TRUNCATED", ["header ends"]],
  ["a length beyond the limit", () => withLength(100_000_001n), "ERR_SAFETENSORS_HEADER", ["100000001"]],
  ["a negative length", () => withLength(2n ** 64n - 1n), "ERR_SAFETENSORS_HEADER", ["header length"]],
  ["no JSON", () => safetensorsBytes(tensors, "{nope"), "ERR_SAFETENSORS_HEADER", ["not JSON"]],
  [
    "no UTF-8",
    () => Buffer.concat([whole.subarray(0, 8), Buffer.alloc(whole.length, 0xff)]),
    "ERR_SAFETENSORS_HEADER",
    ["UTF-8"],
  ],
  ["an array", () => safetensorsBytes(tensors, "[]"), "ERR_SAFETENSORS_HEADER", ["not an object"]],
  [
    "a name twice",
    () => safetensorsBytes(tensors, `${text.slice(0, -1)},${text.slice(1)}`),
    "ERR_SAFETENSORS_HEADER",
    ["twice"],
  ],
  [
    "an escaped name twice",
    () => safetensorsBytes([], '{"a":1,"\\u0061":2}'),
    "ERR_SAFETENSORS_HEADER",
    ['"a"', "twice"],
  ],
  [
    "metadata that is no text",
    () => safetensorsBytes([], '{"__metadata__":{"a":1}}'),
    "ERR_SAFETENSORS_HEADER",
    ["__metadata__.a", "string", "1"],
  ],
  ["an unknown dtype", () => lie({ dtype: "F33" }), "ERR_SAFETENSORS_TENSOR", ["dtype", "F33"]],
  ["a dtype that is a property of every object", () => lie({ dtype: "toString" }), "ERR_SAFETENSORS_TENSOR", ["dtype"]],
  ["another dtype", () => lie({ dtype: "F64" }), "ERR_SAFETENSORS_TENSOR", ["takes 256 bytes, found 128"]],
  ["a negative size", () => lie({ shape: [-32] }), "ERR_SAFETENSORS_TENSOR", ["shape.0", "-32"]],
  ["a fraction", () => lie({ shape: [1.5] }), "ERR_SAFETENSORS_TENSOR", ["shape.0", "1.5"]],
  ["an overflowing shape", () => lie({ shape: [2 ** 40, 2 ** 40] }), "ERR_SAFETENSORS_TENSOR", ["cannot be"]],
  ["no offsets", () => lie({ data_offsets: [] }), "ERR_SAFETENSORS_TENSOR", ["data_offsets"]],
  ["offsets backwards", () => lie({ data_offsets: [5000, 4096] }), "ERR_SAFETENSORS_TENSOR", ["found -904"]],
  ["an overlap", () => lie({ data_offsets: [0, 128] }), "ERR_SAFETENSORS_TENSOR", ["expected to begin at"]],
  [
    "a gap",
    () => lie({ data_offsets: [4100, 4228] }),
    "ERR_SAFETENSORS_TENSOR",
    ["expected to begin at 4096", "found 4100"],
  ],
  ["an offset beyond the file", () => lie({ data_offsets: [1e12, 1e12 + 128] }), "ERR_SAFETENSORS_TENSOR", ["begin"]],
  ["no tensor entry", () => safetensorsBytes([], '{"a":null}'), "ERR_SAFETENSORS_TENSOR", ["a:", "object", "null"]],
];

it.each(cases)("refuses %s", async (_, bytes, code, parts) => {
  await expect(read(bytes())).rejects.toThrow(coded(code, path, ...parts));
});
