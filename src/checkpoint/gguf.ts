/**
 * Reads the header of a GGUF file (versions 2 and 3, little-endian): metadata and where each tensor lies. The file is
 * untrusted: counts, lengths, types, offsets and overlaps are checked here. Long arrays are decoded in slices that give
 * the event loop its turn.
 */
import { open } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { EspalierError, type ErrorCode } from "../errors.js";
import { ByteWindow } from "./byte-window.js";
import { ggmlTypes, valueTypes, type GgmlType, type ValueTypeName } from "./gguf-types.js";
import type { GgufValue } from "./types.js";

export interface GgufTensor {
  name: string;
  /** As in Hugging Face, slowest dimension first. */
  shape: number[];
  type: GgmlType;
  /** From the start of the file. */
  offset: number;
  sizeBytes: number;
}

export interface GgufHeader {
  version: number;
  metadata: Map<string, GgufValue>;
  tensors: GgufTensor[];
  /** Where the tensor data begins. */
  dataOffset: number;
  fileBytes: number;
}

type Scalar = number | bigint | boolean;

const MAX_KEY_BYTES = 65535;
const MAX_NAME_BYTES = 256; // ggml itself stops at 64
const MAX_STRING_BYTES = 1 << 26;
const MAX_ELEMENTS = 1 << 24;
const MAX_ENTRIES = 1 << 20;
const MAX_DIMENSIONS = 4;
const SLICE = 4096;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * The header of a GGUF file.
 *
 * @example const { metadata, tensors } = await readGgufHeader("model.gguf")
 */
export async function readGgufHeader(path: string): Promise<GgufHeader> {
  const file = await open(path, "r").catch((error: Error) => {
    throw new EspalierError("ERR_FILE_OPEN", `${path}: ${error.message}`, { cause: error });
  });
  try {
    const { size } = await file.stat();
    return await parse(new ByteWindow(file, path, size));
  } finally {
    await file.close();
  }
}

function fail(window: ByteWindow, code: ErrorCode, what: string): EspalierError {
  return new EspalierError(code, `${window.path}: ${what}`);
}

async function parse(window: ByteWindow): Promise<GgufHeader> {
  const version = await readVersion(window);
  await window.need(16, "the header");
  const tensorCount = window.size();
  const entryCount = window.size();
  checkCount(window, "tensor_count", tensorCount, MAX_ENTRIES, 32);
  checkCount(window, "metadata_kv_count", entryCount, MAX_ENTRIES, 13);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < entryCount; ++i) {
    const key = await readText(window, `metadata key ${i}`, MAX_KEY_BYTES);
    if (metadata.has(key)) throw fail(window, "ERR_GGUF_HEADER", `metadata key "${key}" appears twice`);
    metadata.set(key, await readValue(window, key));
  }
  const alignment = alignmentOf(window, metadata);
  const infos = await readTensorInfos(window, tensorCount);
  const dataOffset = Math.ceil(window.position / alignment) * alignment;
  const tensors = infos.map((info) => placeTensor(window, info, dataOffset, alignment));
  checkOverlaps(window, tensors);
  return { version, metadata, tensors, dataOffset, fileBytes: window.fileBytes };
}

async function readVersion(window: ByteWindow): Promise<number> {
  await window.need(8, "the magic and version");
  const magic = window.take(4).toString("latin1");
  if (magic !== "GGUF") throw fail(window, "ERR_GGUF_HEADER", `magic: expected "GGUF", found ${JSON.stringify(magic)}`);
  const version = window.u32();
  if (version === 2 || version === 3) return version;
  const swapped = Buffer.alloc(4);
  swapped.writeUInt32BE(version);
  const bigEndian = swapped.readUInt32LE();
  if (bigEndian >= 1 && bigEndian <= 3)
    throw fail(window, "ERR_GGUF_VERSION", `the file is big-endian (version ${bigEndian}); expected little-endian`);
  throw fail(window, "ERR_GGUF_VERSION", `version: expected 2 or 3, found ${version}`);
}

/** A count is believed only when the rest of the file could hold that many things of `least` bytes. */
function checkCount(window: ByteWindow, field: string, count: number, limit: number, least: number): void {
  const most = Math.min(limit, Math.floor(window.remaining / least));
  if (count > most)
    throw fail(window, "ERR_GGUF_HEADER", `${field}: ${count} cannot be, the rest of the file has room for ${most}`);
}

async function readBytes(window: ByteWindow, field: string, limit: number): Promise<Buffer> {
  if (!window.has(8)) await window.need(8, `the length of ${field}`);
  const length = window.size();
  if (length > limit || length > window.remaining)
    throw fail(
      window,
      "ERR_GGUF_HEADER",
      `${field}: length ${length} is beyond ${length > limit ? `the limit of ${limit}` : "the end of the file"}`,
    );
  if (!window.has(length)) await window.need(length, field);
  return window.take(length);
}

/** A key or name: must be valid UTF-8, else two different ones could look the same. */
async function readText(window: ByteWindow, field: string, limit: number): Promise<string> {
  const bytes = await readBytes(window, field, limit);
  try {
    return utf8.decode(bytes);
  } catch {
    throw fail(window, "ERR_GGUF_HEADER", `${field}: not valid UTF-8`);
  }
}

async function readValueType(window: ByteWindow, field: string): Promise<(typeof valueTypes)[number]> {
  await window.need(4, `the type of ${field}`);
  const id = window.u32();
  const type = valueTypes[id];
  if (type === undefined) throw fail(window, "ERR_GGUF_HEADER", `${field}: unknown value type ${id}`);
  return type;
}

async function readValue(window: ByteWindow, key: string): Promise<GgufValue> {
  const type = await readValueType(window, key);
  if (type.name === "array") return readArray(window, key);
  if (type.name === "string") return (await readBytes(window, key, MAX_STRING_BYTES)).toString("utf8");
  await window.need(type.bytes, key);
  return decode(type.name, window.take(type.bytes));
}

async function readArray(window: ByteWindow, key: string): Promise<GgufValue> {
  const type = await readValueType(window, key);
  if (type.name === "array") throw fail(window, "ERR_GGUF_HEADER", `${key}: arrays of arrays are not read`);
  await window.need(8, `the length of ${key}`);
  const count = window.size();
  checkCount(window, key, count, MAX_ELEMENTS, type.name === "string" ? 8 : type.bytes);
  return type.name === "string"
    ? readStrings(window, key, count)
    : readScalars(window, key, count, type.name, type.bytes);
}

async function readStrings(window: ByteWindow, key: string, count: number): Promise<string[]> {
  const out: string[] = [];
  for (let i = 0; i < count; ++i) {
    if (i % SLICE === SLICE - 1) await nextTurn();
    // The common case without a promise for each of a hundred thousand tokens.
    if (window.has(8 + 256)) {
      const length = window.size();
      if (length <= 256) {
        out.push(window.take(length).toString("utf8"));
        continue;
      }
      window.back(8);
    }
    out.push((await readBytes(window, `${key}[${i}]`, MAX_STRING_BYTES)).toString("utf8"));
  }
  return out;
}

async function readScalars(
  window: ByteWindow,
  key: string,
  count: number,
  type: ValueTypeName,
  bytes: number,
): Promise<Scalar[]> {
  const out: Scalar[] = [];
  for (let begin = 0; begin < count; begin += SLICE) {
    const here = Math.min(SLICE, count - begin);
    await window.need(here * bytes, key);
    for (let i = 0; i < here; ++i) out.push(decode(type, window.take(bytes)));
    if (begin + SLICE < count) await nextTurn();
  }
  return out;
}

function decode(type: ValueTypeName, bytes: Buffer): Scalar {
  switch (type) {
    case "u8":
      return bytes.readUInt8();
    case "i8":
      return bytes.readInt8();
    case "u16":
      return bytes.readUInt16LE();
    case "i16":
      return bytes.readInt16LE();
    case "u32":
      return bytes.readUInt32LE();
    case "i32":
      return bytes.readInt32LE();
    case "f32":
      return bytes.readFloatLE();
    case "f64":
      return bytes.readDoubleLE();
    case "bool":
      return bytes.readUInt8() !== 0;
    case "u64":
      return narrow(bytes.readBigUInt64LE());
    case "i64":
      return narrow(bytes.readBigInt64LE());
    case "string":
    case "array":
      throw new EspalierError("ERR_INTERNAL", `${type} is not a scalar`);
  }
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function alignmentOf(window: ByteWindow, metadata: Map<string, GgufValue>): number {
  const value = metadata.get("general.alignment") ?? 32;
  if (typeof value !== "number" || value < 8 || value > 1 << 20 || !Number.isInteger(Math.log2(value)))
    throw fail(
      window,
      "ERR_GGUF_METADATA",
      `general.alignment: expected a power of two from 8 to 2^20, found ${String(value)}`,
    );
  return value;
}

interface TensorInfo {
  name: string;
  shape: number[];
  typeId: number;
  offset: number;
}

async function readTensorInfos(window: ByteWindow, count: number): Promise<TensorInfo[]> {
  const names = new Set<string>();
  const out: TensorInfo[] = [];
  for (let i = 0; i < count; ++i) {
    const name = await readText(window, `the name of tensor ${i}`, MAX_NAME_BYTES);
    if (names.has(name)) throw fail(window, "ERR_GGUF_TENSOR", `tensor "${name}" appears twice`);
    names.add(name);
    await window.need(4, `tensor "${name}"`);
    const dimensions = window.u32();
    if (dimensions < 1 || dimensions > MAX_DIMENSIONS)
      throw fail(window, "ERR_GGUF_TENSOR", `tensor "${name}": expected 1 to 4 dimensions, found ${dimensions}`);
    await window.need(dimensions * 8 + 12, `tensor "${name}"`);
    const shape = Array.from({ length: dimensions }, () => window.size()).reverse();
    out.push({ name, shape, typeId: window.u32(), offset: window.size() });
  }
  return out;
}

function placeTensor(window: ByteWindow, info: TensorInfo, dataOffset: number, alignment: number): GgufTensor {
  const bad = (what: string): EspalierError => fail(window, "ERR_GGUF_TENSOR", `tensor "${info.name}": ${what}`);
  const type = ggmlTypes.get(info.typeId);
  if (type === undefined) throw fail(window, "ERR_GGUF_TYPE", `tensor "${info.name}": unknown type ${info.typeId}`);
  const shape = `[${info.shape.join(", ")}]`;
  const elements = info.shape.reduce((product, size) => product * size, 1);
  const row = info.shape[info.shape.length - 1] ?? 0;
  if (!Number.isSafeInteger(elements) || info.shape.includes(0)) throw bad(`the shape ${shape} cannot be`);
  if (row % type.blockElements !== 0)
    throw bad(`rows of ${row} elements, but ${type.name} comes in blocks of ${type.blockElements}`);
  const sizeBytes = (elements / type.blockElements) * type.blockBytes;
  if (info.offset % alignment !== 0) throw bad(`offset: expected a multiple of ${alignment}, found ${info.offset}`);
  const offset = dataOffset + info.offset;
  if (!(offset + sizeBytes <= window.fileBytes))
    throw new EspalierError(
      "ERR_FILE_TRUNCATED",
      `${window.path}: tensor "${info.name}" ${shape} ${type.name} ends at byte ${offset + sizeBytes}, ` +
        `the file at ${window.fileBytes}`,
    );
  return { name: info.name, shape: info.shape, type, offset, sizeBytes };
}

function checkOverlaps(window: ByteWindow, tensors: GgufTensor[]): void {
  const sorted = [...tensors].sort((a, b) => a.offset - b.offset);
  sorted.forEach((tensor, i) => {
    const before = sorted[i - 1];
    if (before !== undefined && before.offset + before.sizeBytes > tensor.offset)
      throw fail(
        window,
        "ERR_GGUF_TENSOR",
        `tensors "${before.name}" and "${tensor.name}" overlap at byte ${tensor.offset}`,
      );
  });
}
