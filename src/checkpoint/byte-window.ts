/**
 * Reads little-endian values off a file front to back through a bounded window. Every length is checked against the
 * file before it is believed. Callers loop synchronously over what the window holds and await only to refill it.
 */
import type { FileHandle } from "node:fs/promises";
import { EspalierError } from "../errors.js";

const WINDOW_BYTES = 1 << 20;

export class ByteWindow {
  readonly #file: FileHandle;
  readonly path: string;
  readonly fileBytes: number;
  #buffer = Buffer.alloc(0);
  /** Position of the buffer's first byte in the file. */
  #start = 0;
  #offset = 0;

  constructor(file: FileHandle, path: string, fileBytes: number) {
    this.#file = file;
    this.path = path;
    this.fileBytes = fileBytes;
  }

  /** Position in the file. */
  get position(): number {
    return this.#start + this.#offset;
  }

  get remaining(): number {
    return this.fileBytes - this.position;
  }

  has(bytes: number): boolean {
    return this.#offset + bytes <= this.#buffer.length;
  }

  /** Makes `bytes` available; `field` is named when the file is too short. */
  async need(bytes: number, field: string): Promise<void> {
    if (this.has(bytes)) return;
    if (bytes > this.remaining)
      throw new EspalierError(
        "ERR_FILE_TRUNCATED",
        `${this.path}: ${field} needs ${bytes} bytes at ${this.position}, the file ends at ${this.fileBytes}`,
      );
    const start = this.position;
    const fresh = Buffer.allocUnsafe(Math.min(Math.max(bytes, WINDOW_BYTES), this.remaining));
    let filled = 0;
    while (filled < fresh.length) {
      const { bytesRead } = await this.#file.read(fresh, filled, fresh.length - filled, start + filled);
      if (bytesRead === 0)
        throw new EspalierError("ERR_FILE_TRUNCATED", `${this.path}: the file was cut short while it was read`);
      filled += bytesRead;
    }
    this.#buffer = fresh;
    this.#start = start;
    this.#offset = 0;
  }

  /** The next bytes, which must be there (`has`); valid until the next refill. */
  take(bytes: number): Buffer {
    const slice = this.#buffer.subarray(this.#offset, this.#offset + bytes);
    this.#offset += bytes;
    return slice;
  }

  /** Steps back over bytes just taken. */
  back(bytes: number): void {
    this.#offset -= bytes;
  }

  u32(): number {
    return this.take(4).readUInt32LE();
  }

  /** A 64-bit size as a number; values beyond 2^53 become Infinity, which every limit refuses. */
  size(): number {
    const low = this.#buffer.readUInt32LE(this.#offset);
    const high = this.#buffer.readUInt32LE(this.#offset + 4);
    this.#offset += 8;
    return high < 1 << 21 ? high * 2 ** 32 + low : Infinity;
  }
}
