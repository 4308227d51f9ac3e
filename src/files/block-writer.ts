/**
 * BlockWriter: appends to a file in large aligned blocks. The kernel then keeps the file in huge pages, which a mapped
 * weight file is read from up to three times as fast (ext4, Linux 6.18, virtual machine) as from small ones.
 */
import type { FileHandle } from "node:fs/promises";

const BLOCK_BYTES = 8 << 20;

export class BlockWriter {
  readonly #file: FileHandle;
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #filled = 0;
  #written = 0;

  /** `file` must be empty. */
  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Bytes appended so far. */
  get position(): number {
    return this.#written + this.#filled;
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const count = Math.min(bytes.length - done, BLOCK_BYTES - this.#filled);
      this.#block.set(bytes.subarray(done, done + count), this.#filled);
      this.#filled += count;
      done += count;
      if (this.#filled === BLOCK_BYTES) await this.#flush();
    }
  }

  /** Appends zeros up to a multiple of `alignment`. */
  async padTo(alignment: number): Promise<void> {
    const over = this.position % alignment;
    if (over > 0) await this.append(new Uint8Array(alignment - over));
  }

  /** Writes what is left and waits for the disk. */
  async finish(): Promise<void> {
    await this.#flush();
    await this.#file.sync();
  }

  async #flush(): Promise<void> {
    for (let done = 0; done < this.#filled;)
      done += (await this.#file.write(this.#block, done, this.#filled - done)).bytesWritten;
    this.#written += this.#filled;
    this.#filled = 0;
  }
}
