// SPDX-License-Identifier: Apache-2.0
/**
 * NumPy's .npy, version 1.0, for arrays of 32-bit integers.
 */
import { randomBytes } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";

const MAGIC = Buffer.from("\x93NUMPY\x01\x00", "latin1");
const ALIGNMENT = 64;

export type NpyArray = Int32Array | Uint32Array;

/** Appears whole or not at all. `columns` makes it two-dimensional. */
export async function writeNpy(path: string, array: NpyArray, columns?: number): Promise<void> {
  const shape = columns === undefined ? `${array.length},` : `${array.length / columns}, ${columns}`;
  const dtype = array instanceof Int32Array ? "<i4" : "<u4";
  const text = `{'descr': '${dtype}', 'fortran_order': False, 'shape': (${shape}), }`;
  const padding = ALIGNMENT - ((MAGIC.length + 2 + text.length + 1) % ALIGNMENT);
  const header = `${text}${" ".repeat(padding % ALIGNMENT)}\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  const bytes = Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString("hex")}`;
  try {
    await writeFile(temporary, [MAGIC, length, Buffer.from(header, "latin1"), bytes]);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** The numbers of a file that writeNpy wrote, or null when it is anything else. */
export async function readNpy(path: string, dtype: "<i4" | "<u4"): Promise<NpyArray | null> {
  const file = await readFile(path).catch(() => null);
  if (file === null || file.length < 10 || !file.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  const begin = 10 + file.readUInt16LE(8);
  const header = file.subarray(10, begin).toString("latin1");
  const count = /'shape': \(([\d, ]+)\)/
    .exec(header)?.[1]
    ?.split(",")
    .filter((size) => size.trim() !== "");
  if (count === undefined || !header.includes(`'${dtype}'`) || !header.includes("'fortran_order': False")) return null;
  const length = count.reduce((product, size) => product * Number(size), 1);
  if (file.length !== begin + 4 * length) return null;
  const array = dtype === "<i4" ? new Int32Array(length) : new Uint32Array(length);
  new Uint8Array(array.buffer).set(file.subarray(begin));
  return array;
}
