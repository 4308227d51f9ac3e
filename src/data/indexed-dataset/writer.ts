// SPDX-License-Identifier: Apache-2.0
/**
 * Writes a .bin/.idx pair in bounded memory. Lengths go to a spool beside it, PREFIX.lengths, from which `finish` makes
 * the index; what was written so far can be taken up again from a `WriterState`.
 */
import { open, rm, type FileHandle } from "node:fs/promises";
import { EspalierError } from "../../errors.js";
import { toWriteError } from "../../files/atomic-directory.js";
import { binPath, dtypes, HEADER_BYTES, idxPath, MAGIC, VERSION } from "./layout.js";

/** What a journal keeps. */
export interface WriterState {
  tokens: number;
  sequences: number;
  documents: number;
}

/** In the spool, after the lengths of a document's sequences. */
export const DOCUMENT_END = -1;

const CHUNK_RECORDS = 1 << 18;
const TWO_32 = 2 ** 32;

const spoolPath = (prefix: string): string => `${prefix}.lengths`;

/**
 * @example
 * const writer = await IndexedDatasetWriter.create("out/my_text_document", "uint16");
 * await writer.append(Uint16Array.of(5, 6, 7), Int32Array.of(3, DOCUMENT_END));
 * await writer.finish();
 * await writer.removeSpool();
 */
export class IndexedDatasetWriter {
  readonly prefix: string;
  readonly dtype: "uint16" | "int32";
  readonly #bin: FileHandle;
  readonly #spool: FileHandle;
  readonly #state: WriterState;
  #closed = false;

  private constructor(prefix: string, dtype: "uint16" | "int32", files: [FileHandle, FileHandle], state: WriterState) {
    this.prefix = prefix;
    this.dtype = dtype;
    [this.#bin, this.#spool] = files;
    this.#state = { ...state };
  }

  /** Starts anew, or goes on after `state`: anything the files hold beyond it is dropped. */
  static async create(
    prefix: string,
    dtype: "uint16" | "int32",
    state: WriterState = { tokens: 0, sequences: 0, documents: 0 },
  ): Promise<IndexedDatasetWriter> {
    const flags = state.documents === 0 ? "w+" : "r+";
    const bin = await open(binPath(prefix), flags);
    const spool = await open(spoolPath(prefix), flags);
    const writer = new IndexedDatasetWriter(prefix, dtype, [bin, spool], state);
    try {
      await cutTo(bin, binPath(prefix), state.tokens * dtypes[dtype].bytes);
      await cutTo(spool, spoolPath(prefix), writer.#records * 4);
      return writer;
    } catch (error) {
      await writer.close();
      throw error;
    }
  }

  get state(): WriterState {
    return { ...this.#state };
  }

  /**
   * Adds documents: their tokens, and for each the lengths of its sequences followed by DOCUMENT_END. A document may
   * have none.
   */
  async append(tokens: Uint16Array | Int32Array, records: Int32Array): Promise<void> {
    if (tokens.BYTES_PER_ELEMENT !== dtypes[this.dtype].bytes)
      throw new EspalierError("ERR_INTERNAL", `${this.prefix}: expected ${this.dtype} tokens`);
    const { sequences, documents } = countRecords(records, tokens.length, this.prefix);
    await writeFully(this.#bin, bytesOf(tokens), this.#state.tokens * tokens.BYTES_PER_ELEMENT, binPath(this.prefix));
    await writeFully(this.#spool, bytesOf(records), this.#records * 4, spoolPath(this.prefix));
    this.#state.tokens += tokens.length;
    this.#state.sequences += sequences;
    this.#state.documents += documents;
  }

  /** Puts what was appended on the disk, so that a journal may count on it. */
  async sync(): Promise<void> {
    await this.#bin.datasync();
    await this.#spool.datasync();
  }

  /** Writes the index and closes. The spool stays until `removeSpool`. */
  async finish(): Promise<void> {
    try {
      const idx = await open(idxPath(this.prefix), "w");
      await this.#writeIndex(idx).finally(() => idx.close());
    } catch (error) {
      throw toWriteError(error, idxPath(this.prefix));
    } finally {
      await this.close();
    }
  }

  async removeSpool(): Promise<void> {
    await rm(spoolPath(this.prefix));
  }

  /** Leaves the files as they are. May be called twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#bin.close();
    await this.#spool.close();
  }

  get #records(): number {
    return this.#state.sequences + this.#state.documents;
  }

  async #writeIndex(idx: FileHandle): Promise<void> {
    const { sequences, documents } = this.#state;
    const path = idxPath(this.prefix);
    const header = Buffer.alloc(HEADER_BYTES);
    MAGIC.copy(header);
    header.writeBigUInt64LE(BigInt(VERSION), 9);
    header.writeUInt8(dtypes[this.dtype].code, 17);
    header.writeBigUInt64LE(BigInt(sequences), 18);
    header.writeBigUInt64LE(BigInt(documents + 1), 26);
    await writeFully(idx, header, 0, path);
    let [lengthsAt, pointersAt] = [HEADER_BYTES, HEADER_BYTES + 4 * sequences];
    let documentsAt = pointersAt + 8 * sequences;
    await writeFully(idx, new Uint8Array(8), documentsAt, path); // the first document begins at sequence 0
    documentsAt += 8;
    let [start, seen] = [0, 0];
    for await (const records of this.#readSpool()) {
      const lengths = records.filter((record) => record !== DOCUMENT_END);
      const pointers = new Int64Writer(lengths.length);
      const ends = new Int64Writer(records.length - lengths.length);
      for (const record of records) {
        if (record === DOCUMENT_END) ends.push(seen);
        else {
          pointers.push(start * dtypes[this.dtype].bytes);
          start += record;
          seen += 1;
        }
      }
      await writeFully(idx, bytesOf(lengths), lengthsAt, path);
      await writeFully(idx, pointers.bytes, pointersAt, path);
      await writeFully(idx, ends.bytes, documentsAt, path);
      lengthsAt += lengths.byteLength;
      pointersAt += pointers.bytes.length;
      documentsAt += ends.bytes.length;
    }
  }

  async *#readSpool(): AsyncGenerator<Int32Array> {
    for (let done = 0; done < this.#records;) {
      const records = new Int32Array(Math.min(CHUNK_RECORDS, this.#records - done));
      const { bytesRead } = await this.#spool.read(bytesOf(records), 0, records.byteLength, done * 4);
      if (bytesRead === 0 || bytesRead % 4 !== 0)
        throw new EspalierError("ERR_FILE_TRUNCATED", `${spoolPath(this.prefix)}: was cut short while it was read`);
      done += bytesRead / 4;
      yield records.subarray(0, bytesRead / 4);
    }
  }
}

class Int64Writer {
  readonly bytes: Uint8Array;
  readonly #halves: Uint32Array;
  #at = 0;

  constructor(count: number) {
    this.#halves = new Uint32Array(2 * count);
    this.bytes = bytesOf(this.#halves);
  }

  push(value: number): void {
    this.#halves[this.#at++] = value;
    this.#halves[this.#at++] = value / TWO_32;
  }
}

function bytesOf(array: Uint16Array | Int32Array | Uint32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function countRecords(records: Int32Array, tokens: number, prefix: string): { sequences: number; documents: number } {
  let [sequences, documents, sum] = [0, 0, 0];
  for (const record of records) {
    if (record === DOCUMENT_END) documents += 1;
    else {
      sequences += 1;
      sum += record;
    }
  }
  const ends = records.length === 0 || records[records.length - 1] === DOCUMENT_END;
  if (sum !== tokens || !ends)
    throw new EspalierError("ERR_INTERNAL", `${prefix}: ${tokens} tokens came with lengths that sum to ${sum}`);
  return { sequences, documents };
}

async function cutTo(file: FileHandle, path: string, bytes: number): Promise<void> {
  const { size } = await file.stat();
  if (size < bytes)
    throw new EspalierError("ERR_FILE_TRUNCATED", `${path}: the journal counts on ${bytes} bytes, found ${size}`);
  await file.truncate(bytes);
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number, path: string): Promise<void> {
  try {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
  } catch (error) {
    throw toWriteError(error, path);
  }
}
