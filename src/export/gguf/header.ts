// SPDX-License-Identifier: Apache-2.0
/** The head of a GGUF file: magic, metadata and where each tensor will lie. Version 3, little-endian. */
import { ggmlTypes, valueTypes, type GgufEntry, type ScalarTypeName } from "../../checkpoint/gguf-types.js";
import { EspalierError } from "../../errors.js";

/** general.alignment when the key is absent. */
export const ALIGNMENT = 32;

export interface HeaderTensor {
  name: string;
  /** Slowest dimension first. */
  shape: readonly number[];
  /** Name of a ggml type. */
  type: string;
}

export interface GgufHead {
  /** Padded: the data follows. */
  bytes: Buffer;
  /** Of each tensor, without padding. */
  tensorBytes: number[];
}

/** ggml's number for a type. */
function typeId(name: string): number {
  for (const [id, type] of ggmlTypes) if (type.name === name) return id;
  throw new EspalierError("ERR_INTERNAL", `no GGUF type ${name}`);
}

export function ggufHead(entries: readonly GgufEntry[], tensors: readonly HeaderTensor[]): GgufHead {
  const out = new Bytes();
  out.raw(Buffer.from("GGUF"));
  out.scalar("u32", 3);
  out.scalar("u64", tensors.length);
  out.scalar("u64", entries.length);
  for (const entry of entries) writeEntry(out, entry);
  const tensorBytes: number[] = [];
  let offset = 0;
  for (const { name, shape, type } of tensors) {
    out.scalar("string", name);
    out.scalar("u32", shape.length);
    for (const size of [...shape].reverse()) out.scalar("u64", size);
    out.scalar("u32", typeId(type));
    out.scalar("u64", offset);
    const bytes = bytesOf(shape, type);
    tensorBytes.push(bytes);
    offset += padded(bytes);
  }
  out.raw(Buffer.alloc(padded(out.length) - out.length));
  return { bytes: out.finish(), tensorBytes };
}

export function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function bytesOf(shape: readonly number[], type: string): number {
  const { blockElements, blockBytes } = ggmlTypes.get(typeId(type)) ?? { blockElements: 1, blockBytes: 0 };
  return (shape.reduce((product, size) => product * size, 1) / blockElements) * blockBytes;
}

function writeEntry(out: Bytes, entry: GgufEntry): void {
  const number = (name: string): number => valueTypes.findIndex((type) => type.name === name);
  out.scalar("string", entry.key);
  out.scalar("u32", number(entry.type));
  if (entry.type !== "array") {
    out.scalar(entry.type, entry.value);
    return;
  }
  out.scalar("u32", number(entry.element));
  out.scalar("u64", entry.values.length);
  for (const value of entry.values) out.scalar(entry.element, value);
}

type Fixed = Exclude<ScalarTypeName, "string">;

const writers: Record<Fixed, (buffer: Buffer, value: number | bigint, at: number) => unknown> = {
  u8: (buffer, value, at) => buffer.writeUInt8(Number(value), at),
  i8: (buffer, value, at) => buffer.writeInt8(Number(value), at),
  bool: (buffer, value, at) => buffer.writeUInt8(Number(value), at),
  u16: (buffer, value, at) => buffer.writeUInt16LE(Number(value), at),
  i16: (buffer, value, at) => buffer.writeInt16LE(Number(value), at),
  u32: (buffer, value, at) => buffer.writeUInt32LE(Number(value), at),
  i32: (buffer, value, at) => buffer.writeInt32LE(Number(value), at),
  f32: (buffer, value, at) => buffer.writeFloatLE(Number(value), at),
  f64: (buffer, value, at) => buffer.writeDoubleLE(Number(value), at),
  u64: (buffer, value, at) => buffer.writeBigUInt64LE(BigInt(value), at),
  i64: (buffer, value, at) => buffer.writeBigInt64LE(BigInt(value), at),
};

const widths = new Map<string, number>(valueTypes.map(({ name, bytes }) => [name, bytes]));

/** A growing buffer. */
class Bytes {
  #buffer = Buffer.alloc(1 << 16);
  length = 0;

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  scalar(type: ScalarTypeName, value: number | bigint | boolean | string): void {
    if (type === "string") {
      const bytes = Buffer.from(String(value));
      this.scalar("u64", bytes.length);
      this.raw(bytes);
      return;
    }
    const width = widths.get(type) ?? 0;
    this.#reserve(width);
    writers[type](this.#buffer, typeof value === "bigint" ? value : Number(value), this.length);
    this.length += width;
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }

  #reserve(more: number): void {
    if (this.length + more <= this.#buffer.length) return;
    const larger = Buffer.alloc(Math.max(2 * this.#buffer.length, this.length + more));
    this.#buffer.copy(larger, 0, 0, this.length);
    this.#buffer = larger;
  }
}
