// SPDX-License-Identifier: Apache-2.0
/**
 * TensorBoard event files: TFRecord frames around protobuf messages of tensorflow's Event and Summary (event.proto,
 * summary.proto), of which only scalars are written. A file that a run goes on with is cut back to where the checkpoint
 * left it, so no step appears twice.
 */
import { open, type FileHandle } from "node:fs/promises";
import { crc32c } from "../files/crc32c.js";

export interface Scalar {
  tag: string;
  value: number;
}

/** Wire types of protobuf. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

export class EventFile {
  readonly #file: FileHandle;
  #bytes: number;

  private constructor(file: FileHandle, bytes: number) {
    this.#file = file;
    this.#bytes = bytes;
  }

  /** A new file (which begins with its version), or the first `keepBytes` of the one there. */
  static async open(path: string, keepBytes: number): Promise<EventFile> {
    const file = await open(path, keepBytes === 0 ? "w" : "r+");
    const events = new EventFile(file, keepBytes);
    if (keepBytes === 0) await events.#append(versionEvent(Date.now() / 1000));
    else await file.truncate(keepBytes);
    return events;
  }

  /** Where the next event goes. */
  get sizeBytes(): number {
    return this.#bytes;
  }

  async write(step: number, scalars: readonly Scalar[], wallTimeSeconds: number): Promise<void> {
    await this.#append(scalarEvent(step, scalars, wallTimeSeconds));
  }

  async sync(): Promise<void> {
    await this.#file.sync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #append(event: Buffer): Promise<void> {
    const record = frame(event);
    for (let done = 0; done < record.length;) {
      const { bytesWritten } = await this.#file.write(record, done, record.length - done, this.#bytes);
      done += bytesWritten;
      this.#bytes += bytesWritten;
    }
  }
}

/** A TFRecord: length, its checksum, the data, its checksum; all little-endian. */
export function frame(data: Buffer): Buffer {
  const out = Buffer.alloc(data.length + 16);
  out.writeBigUInt64LE(BigInt(data.length), 0);
  out.writeUInt32LE(maskedCrc(out.subarray(0, 8)), 8);
  data.copy(out, 12);
  out.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return out;
}

/** TFRecord's mask: checksums of data that holds checksums would be weak. */
export function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return ((((crc >>> 15) | (crc << 17)) >>> 0) + 0xa282ead8) >>> 0;
}

/** Event { double wall_time = 1; string file_version = 3; } */
function versionEvent(wallTime: number): Buffer {
  return Buffer.concat([double(1, wallTime), bytes(3, Buffer.from("brain.Event:2"))]);
}

/** Event { double wall_time = 1; int64 step = 2; Summary summary = 5 { repeated Value value = 1; } } */
function scalarEvent(step: number, scalars: readonly Scalar[], wallTime: number): Buffer {
  const values = scalars.map(({ tag, value }) =>
    // Value { string tag = 1; float simple_value = 2; }
    bytes(1, Buffer.concat([bytes(1, Buffer.from(tag)), float(2, value)])),
  );
  return Buffer.concat([double(1, wallTime), key(2, VARINT), varint(step), bytes(5, Buffer.concat(values))]);
}

function key(field: number, wireType: number): Buffer {
  return varint(field * 8 + wireType);
}

/** Of a whole number that is not negative; steps go beyond 32 bits when they count samples. */
function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  while (rest >= 128) {
    out.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...out, rest]);
}

function double(field: number, value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return Buffer.concat([key(field, FIXED64), out]);
}

function float(field: number, value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return Buffer.concat([key(field, FIXED32), out]);
}

function bytes(field: number, value: Buffer): Buffer {
  return Buffer.concat([key(field, BYTES), varint(value.length), value]);
}
