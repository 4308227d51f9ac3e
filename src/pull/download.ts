// SPDX-License-Identifier: Apache-2.0
/**
 * One file of the hub into the cache: resumed where an earlier attempt or process stopped, checked against its hash.
 */
import { createHash, type Hash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import type { Response } from "undici";
import { throwIfAborted } from "../abort.js";
import { EspalierError } from "../errors.js";
import { networkError, type HubClient } from "./hub-client.js";
import { Transient, withRetries } from "./retry.js";
import type { HubReference } from "./settings.js";

export interface Blob {
  /** Path inside the repository, for messages. */
  path: string;
  url: string;
  sizeBytes: number;
  /** sha256 (64 digits) of files in large-file storage, git's sha1 (40 digits) of the others. */
  hash: string;
}

export interface DownloadContext {
  client: HubClient;
  reference: HubReference;
  /** Bytes of this file on the disk so far. */
  onReceived: (bytes: number) => void;
}

/** Fetches into `${place}.incomplete` and renames it when it is whole and its hash is right. */
export async function downloadBlob(blob: Blob, place: string, context: DownloadContext): Promise<void> {
  const partial = `${place}.incomplete`;
  for (const secondChance of [true, false]) {
    const file = await open(partial, constants.O_RDWR | constants.O_CREAT);
    try {
      await new Download(blob, file, partial, context).run();
      await file.sync();
    } catch (error) {
      if (!(error instanceof WrongHash)) throw error;
      await file.truncate(0);
      // A partial file of other contents may have been under the good bytes: fetch it all once more.
      if (secondChance) continue;
      await rm(partial, { force: true });
      throw new EspalierError("ERR_PULL_HASH", `${blob.url}: expected ${blob.hash}, found ${error.found}`);
    } finally {
      await file.close();
    }
    await rename(partial, place);
    return;
  }
}

class WrongHash extends Error {
  constructor(readonly found: string) {
    super();
  }
}

class Download {
  /** Bytes on the disk; all of them are in the hash. */
  #received = 0;
  #hash: Hash;

  constructor(
    private readonly blob: Blob,
    private readonly file: FileHandle,
    private readonly partial: string,
    private readonly context: DownloadContext,
  ) {
    this.#hash = newHash(blob);
  }

  async run(): Promise<void> {
    await this.#takePartial();
    await withRetries(this.context.client.settings, async (progressed) => {
      const before = this.#received;
      try {
        if (this.#received < this.blob.sizeBytes) await this.#fetchRest();
      } finally {
        if (this.#received > before) progressed();
      }
    });
    const found = this.#hash.digest("hex");
    if (found !== this.blob.hash) throw new WrongHash(found);
  }

  /** What an earlier attempt left counts, unless it is longer than the file. */
  async #takePartial(): Promise<void> {
    const { size } = await this.file.stat();
    if (size === 0) return this.context.onReceived(0);
    if (size > this.blob.sizeBytes) return this.#restart();
    for await (const chunk of createReadStream(this.partial, { end: size - 1, highWaterMark: 1 << 20 })) {
      throwIfAborted(this.context.client.settings.signal);
      this.#hash.update(chunk as Buffer);
      this.#received += (chunk as Buffer).length;
    }
    this.context.onReceived(this.#received);
  }

  async #restart(): Promise<void> {
    await this.file.truncate(0);
    this.#received = 0;
    this.#hash = newHash(this.blob);
    this.context.onReceived(0);
  }

  async #fetchRest(): Promise<void> {
    const from = this.#received;
    const { client, reference } = this.context;
    const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
    const response = await client.get(this.blob.url, reference, { ...headers, "accept-encoding": "identity" });
    const honoured = response.status === 206 && rangeStart(response) === from;
    if (from > 0 && !honoured) {
      await this.#restart();
      if (response.status === 200) return this.#write(response);
      await response.body?.cancel();
      throw new Transient(serverError(this.blob, `${response.status} for the bytes from ${from} on`), 0);
    }
    if (response.status === 416) throw new Transient(serverError(this.blob, "416 for the whole file"));
    return this.#write(response);
  }

  async #write(response: Response): Promise<void> {
    try {
      for await (const chunk of response.body ?? []) {
        const bytes = chunk as Uint8Array;
        if (this.#received + bytes.length > this.blob.sizeBytes)
          throw serverError(this.blob, `more than the ${this.blob.sizeBytes} bytes the file has`);
        await writeAll(this.file, bytes, this.#received, this.partial);
        this.#hash.update(bytes);
        this.#received += bytes.length;
        this.context.onReceived(this.#received);
      }
    } catch (error) {
      throw error instanceof EspalierError ? error : networkError(this.blob.url, error);
    }
    if (this.#received < this.blob.sizeBytes)
      throw new Transient(
        new EspalierError(
          "ERR_PULL_NETWORK",
          `${this.blob.url}: the connection ended at byte ${this.#received} of ${this.blob.sizeBytes}`,
        ),
      );
  }
}

function newHash({ hash, sizeBytes }: Blob): Hash {
  return hash.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${sizeBytes}\0`);
}

function rangeStart(response: Response): number {
  const match = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "");
  return match === null ? -1 : Number(match[1]);
}

function serverError(blob: Blob, what: string): EspalierError {
  return new EspalierError("ERR_PULL_SERVER", `${blob.url}: the server sent ${what}`);
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number, path: string): Promise<void> {
  try {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const full = code === "ENOSPC" || code === "EDQUOT";
    throw new EspalierError(full ? "ERR_DISK_FULL" : "ERR_FILE_WRITE", `${path}: ${(error as Error).message}`, {
      cause: error,
      ...(full ? { hint: "Free some space and pull again: what was fetched is kept and the rest is resumed." } : {}),
    });
  }
}
