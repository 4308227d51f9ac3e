// SPDX-License-Identifier: Apache-2.0
/**
 * Reads tokens of a .bin/.idx pair. The index is held in memory, 12 bytes a sequence; tokens are read where asked for.
 */
import { open, type FileHandle } from "node:fs/promises";
import { EspalierError } from "../../errors.js";
import { binPath, dtypes, idxPath, type TokenDtype } from "./layout.js";
import { readFully, readIndex, type SequenceIndex } from "./read-index.js";

const TWO_32 = 2 ** 32;

/** @example await using data = await IndexedDataset.open("corpus/my_text_document"); */
export class IndexedDataset implements AsyncDisposable {
  readonly prefix: string;
  readonly dtype: TokenDtype;
  /** [sequences] Tokens of each. */
  readonly lengths: Int32Array;
  /** [documents + 1] First sequence of each document; then the number of sequences. */
  readonly documents: Int32Array;
  /** Of all sequences. */
  readonly tokens: number;
  readonly #starts: Float64Array;
  readonly #bin: FileHandle;
  #closing: Promise<void> | null = null;

  private constructor(prefix: string, index: SequenceIndex, bin: FileHandle) {
    this.prefix = prefix;
    this.dtype = index.dtype;
    this.lengths = index.lengths;
    this.documents = index.documents;
    this.#starts = index.starts;
    this.tokens = index.starts[index.lengths.length]!;
    this.#bin = bin;
  }

  /** ERR_DATA_MAGIC, _VERSION, _DTYPE, _INDEX, _BIN, ERR_FILE_OPEN, ERR_FILE_TRUNCATED. */
  static async open(prefix: string): Promise<IndexedDataset> {
    const idx = await openFile(idxPath(prefix));
    const index = await readIndex(idx, idxPath(prefix)).finally(() => idx.close());
    const bin = await openFile(binPath(prefix));
    try {
      const { size } = await bin.stat();
      const expected = index.starts[index.lengths.length]! * dtypes[index.dtype].bytes;
      if (size !== expected)
        throw new EspalierError(
          "ERR_DATA_BIN",
          `${binPath(prefix)}: the index describes ${expected} bytes, found ${size}`,
        );
      return new IndexedDataset(prefix, index, bin);
    } catch (error) {
      await bin.close();
      throw error;
    }
  }

  get sequenceCount(): number {
    return this.lengths.length;
  }

  get documentCount(): number {
    return this.documents.length - 1;
  }

  /** Tokens of a sequence, or `count` of them from `offset`. */
  async read(sequence: number, offset = 0, count?: number): Promise<Int32Array> {
    const length = this.lengths[sequence];
    if (length === undefined)
      throw new EspalierError(
        "ERR_ARGUMENT",
        `sequence: expected a whole number below ${this.sequenceCount}, found ${sequence}`,
      );
    const out = new Int32Array(count ?? Math.max(0, length - offset));
    await this.readInto(out, sequence, offset);
    return out;
  }

  /** Fills `out` with tokens of a sequence from `offset`. */
  async readInto(out: Int32Array, sequence: number, offset: number): Promise<void> {
    const length = this.lengths[sequence] ?? -1;
    if (!(Number.isInteger(offset) && offset >= 0 && offset + out.length <= length))
      throw new EspalierError(
        "ERR_ARGUMENT",
        `tokens ${offset} to ${offset + out.length} of sequence ${sequence}: it has ${Math.max(0, length)}`,
      );
    if (out.length === 0) return;
    const { bytes } = dtypes[this.dtype];
    const raw = new Uint8Array(out.length * bytes);
    await readFully(this.#bin, binPath(this.prefix), raw, (this.#starts[sequence]! + offset) * bytes);
    if (this.dtype === "int64") widenInt64(raw, out, binPath(this.prefix));
    else out.set(viewOf(this.dtype, raw.buffer));
  }

  /** May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#bin.close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  return open(path, "r").catch((error: NodeJS.ErrnoException) => {
    throw new EspalierError("ERR_FILE_OPEN", `${path}: ${error.message}`, { cause: error });
  });
}

function viewOf(dtype: Exclude<TokenDtype, "int64">, buffer: ArrayBuffer): ArrayLike<number> {
  switch (dtype) {
    case "uint8":
      return new Uint8Array(buffer);
    case "int8":
      return new Int8Array(buffer);
    case "int16":
      return new Int16Array(buffer);
    case "int32":
      return new Int32Array(buffer);
    case "uint16":
      return new Uint16Array(buffer);
  }
}

function widenInt64(raw: Uint8Array<ArrayBuffer>, out: Int32Array, path: string): void {
  const halves = new Int32Array(raw.buffer);
  for (let i = 0; i < out.length; ++i) {
    const low = halves[2 * i]!;
    const high = halves[2 * i + 1]!;
    if (high !== low >> 31)
      throw new EspalierError(
        "ERR_TOKEN_ID",
        `${path}: expected token ids below 2^31, found ${high * TWO_32 + (low >>> 0)}`,
      );
    out[i] = low;
  }
}
