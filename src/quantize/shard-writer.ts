// SPDX-License-Identifier: Apache-2.0
/**
 * Writes weights into safetensors files one after the other, not knowing what will come, and goes on after a stop.
 *
 * A journal holds a line for every weight that the disk has; what was written after the last line is cut off. The header
 * comes last, into room that was left for it; spaces fill what it does not take. Readers want every tensor to begin at a
 * multiple of its element's size: parts whose sizes are no multiples of 8 wait in a file beside and end the shard.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open, readdir, readFile, rename, rm, stat, truncate, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../errors.js";

export interface ShardPart {
  name: string;
  /** As safetensors spells it. */
  type: string;
  shape: readonly number[];
  bytes: number;
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

interface PartRecord {
  name: string;
  type: string;
  shape: readonly number[];
  bytes: number;
  /** In the file beside. */
  waits: boolean;
}

interface WeightRecord<Figures> {
  weight: string;
  shard: number;
  parts: PartRecord[];
  figures: Figures;
}

const JOURNAL = "journal.jsonl";
const ALIGNMENT = 8;
const SAVE_MS = 2000;
/** Room for a tensor's entry: shape, offsets and punctuation beside its name. */
const ENTRY_BYTES = 160;
const HEADER_STEP = 4096;
/** Anywhere in the file, which is made when it is not there. */
const READ_WRITE = constants.O_RDWR | constants.O_CREAT;

const elementBytes: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2, I32: 4, I64: 8 };

export interface ShardWriterOptions {
  directory: string;
  /** Of all that decides the bytes: a journal of another signature is not gone on from. */
  signature: string;
  maxShardBytes: number;
  /** Names of all tensors that may come, for the room of headers. */
  names: readonly string[];
}

export class ShardWriter<Figures> {
  readonly #options: ShardWriterOptions;
  readonly #headerBytes: number;
  readonly #records: WeightRecord<Figures>[] = [];
  #journal: FileHandle | null = null;
  #main: FileHandle | null = null;
  #rest: FileHandle | null = null;
  #pending: string[] = [];
  #savedAt = performance.now();
  #shard = 0;
  #mainBytes = 0;
  #restBytes = 0;

  private constructor(options: ShardWriterOptions) {
    this.#options = options;
    const room = options.names.reduce((sum, name) => sum + Buffer.byteLength(JSON.stringify(name)) + ENTRY_BYTES, 256);
    this.#headerBytes = Math.ceil((8 + room) / HEADER_STEP) * HEADER_STEP;
  }

  static async open<Figures>(options: ShardWriterOptions): Promise<ShardWriter<Figures>> {
    const writer = new ShardWriter<Figures>(options);
    try {
      await writer.#resume();
    } catch (error) {
      await writer.close();
      throw error;
    }
    return writer;
  }

  /** Weights that are there, in order, with their figures. */
  get done(): readonly { weight: string; figures: Figures }[] {
    return this.#records;
  }

  get bytes(): number {
    return this.#records.reduce((sum, { parts }) => sum + parts.reduce((all, part) => all + part.bytes, 0), 0);
  }

  /** The next weight; all its parts go into one shard. */
  async append(weight: string, parts: readonly ShardPart[], figures: Figures): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
    const filled = this.#mainBytes + this.#restBytes;
    if (filled > 0 && filled + bytes > this.#options.maxShardBytes) await this.#nextShard();
    await this.#openShard();
    const records: PartRecord[] = [];
    for (const { name, type, shape, bytes: size, pieces } of parts) {
      const waits = size % ALIGNMENT !== 0;
      await this.#write(name, size, pieces, waits);
      records.push({ name, type, shape, bytes: size, waits });
    }
    const record = { weight, shard: this.#shard, parts: records, figures };
    this.#records.push(record);
    this.#pending.push(`${JSON.stringify(record)}\n`);
    if (performance.now() - this.#savedAt > SAVE_MS) await this.save();
  }

  /** What is written stays, whatever happens next. */
  async save(): Promise<void> {
    this.#savedAt = performance.now();
    if (this.#pending.length === 0 || this.#journal === null) return;
    await this.#main?.datasync();
    await this.#rest?.datasync();
    await this.#journal.appendFile(this.#pending.join(""));
    await this.#journal.datasync();
    this.#pending = [];
  }

  /** Puts headers in place and names the files as Hugging Face does. Returns their names. */
  async finish(): Promise<string[]> {
    await this.save();
    await this.close();
    const count = this.#shard + 1;
    const number = (n: number): string => String(n).padStart(5, "0");
    const names: string[] = [];
    for (let shard = 0; shard < count; ++shard) {
      const name = count === 1 ? "model.safetensors" : `model-${number(shard + 1)}-of-${number(count)}.safetensors`;
      await this.#finishShard(shard, name);
      names.push(name);
    }
    await rm(this.#path(JOURNAL), { force: true });
    return names;
  }

  /** Tensor to file, of what `finish` named. */
  weightMap(files: readonly string[]): Record<string, string> {
    const entries = this.#records.flatMap(({ shard, parts }) =>
      parts.map(({ name }) => [name, files[shard]!] as const),
    );
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  async close(): Promise<void> {
    for (const handle of [this.#main, this.#rest, this.#journal]) await handle?.close();
    this.#main = this.#rest = this.#journal = null;
  }

  #path(name: string): string {
    return join(this.#options.directory, name);
  }

  #shardPath(shard: number, kind: "main" | "rest"): string {
    return this.#path(`shard-${shard}.${kind}`);
  }

  async #write(
    name: string,
    size: number,
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    waits: boolean,
  ): Promise<void> {
    const handle = waits ? this.#rest! : this.#main!;
    let left = size;
    for await (const piece of pieces) {
      for (let done = 0; done < piece.length;) {
        const position = waits ? this.#restBytes : this.#headerBytes + this.#mainBytes;
        const { bytesWritten } = await handle.write(piece, done, piece.length - done, position);
        done += bytesWritten;
        if (waits) this.#restBytes += bytesWritten;
        else this.#mainBytes += bytesWritten;
      }
      left -= piece.length;
    }
    if (left !== 0) throw new EspalierError("ERR_INTERNAL", `${name}: ${left} bytes short of its shape`);
  }

  async #openShard(): Promise<void> {
    if (this.#main !== null) return;
    this.#main = await open(this.#shardPath(this.#shard, "main"), READ_WRITE);
    this.#rest = await open(this.#shardPath(this.#shard, "rest"), READ_WRITE);
  }

  async #nextShard(): Promise<void> {
    await this.save();
    await this.#main?.close();
    await this.#rest?.close();
    this.#main = this.#rest = null;
    this.#shard += 1;
    this.#mainBytes = this.#restBytes = 0;
  }

  async #resume(): Promise<void> {
    const text = await readFile(this.#path(JOURNAL), "utf8").catch(() => "");
    const [head, ...lines] = text.split("\n");
    const signature = JSON.stringify({ signature: hashOf(this.#options) });
    if (head === signature)
      for (const line of lines) {
        const record = parseLine<WeightRecord<Figures>>(line);
        if (record === null) break;
        this.#take(record);
      }
    if (this.#records.length === 0 || !(await this.#cutBack())) await this.#beginAnew();
    // Written anew: a line that was cut short goes.
    const kept = [signature, ...this.#records.map((record) => JSON.stringify(record))];
    const fresh = `${this.#path(JOURNAL)}.new`;
    {
      await using file = await open(fresh, "w");
      await file.writeFile(`${kept.join("\n")}\n`);
      await file.datasync();
    }
    await rename(fresh, this.#path(JOURNAL));
    this.#journal = await open(this.#path(JOURNAL), "a");
  }

  /** Nothing of another run may end up among this one's files: a shard with its final name, a longer file. */
  async #beginAnew(): Promise<void> {
    this.#records.length = 0;
    this.#shard = this.#mainBytes = this.#restBytes = 0;
    for (const name of await readdir(this.#options.directory)) await rm(this.#path(name), { recursive: true });
  }

  #take(record: WeightRecord<Figures>): void {
    if (record.shard !== this.#shard) {
      this.#shard = record.shard;
      this.#mainBytes = this.#restBytes = 0;
    }
    for (const part of record.parts)
      if (part.waits) this.#restBytes += part.bytes;
      else this.#mainBytes += part.bytes;
    this.#records.push(record);
  }

  /** Makes the files what the journal says; false when they hold less. */
  async #cutBack(): Promise<boolean> {
    for (let shard = 0; shard <= this.#shard; ++shard) {
      const parts = this.#records.filter((record) => record.shard === shard).flatMap((record) => record.parts);
      const sum = (waits: boolean): number =>
        parts.reduce((total, part) => total + (part.waits === waits ? part.bytes : 0), 0);
      const main = sum(false) === 0 ? 0 : this.#headerBytes + sum(false);
      for (const [path, bytes] of [
        [this.#shardPath(shard, "main"), main],
        [this.#shardPath(shard, "rest"), sum(true)],
      ] as const) {
        const found = await stat(path).then(
          ({ size }) => size,
          () => 0,
        );
        if (found < bytes) return false;
        if (found > bytes) await truncate(path, bytes);
      }
    }
    for (let shard = this.#shard + 1; ; ++shard) {
      const extra = [this.#shardPath(shard, "main"), this.#shardPath(shard, "rest")];
      const there = await Promise.all(
        extra.map((path) =>
          stat(path).then(
            () => true,
            () => false,
          ),
        ),
      );
      for (const path of extra) await rm(path, { force: true });
      if (!there.includes(true)) return true;
    }
  }

  /** Appends what waited, largest elements first, and writes the header. */
  async #finishShard(shard: number, name: string): Promise<void> {
    const parts = this.#records.filter((record) => record.shard === shard).flatMap((record) => record.parts);
    const main = parts.filter((part) => !part.waits);
    let restAt = 0;
    const waiting = parts
      .filter((part) => part.waits)
      .map((part) => {
        const at = restAt;
        restAt += part.bytes;
        return { ...part, at };
      })
      .sort((a, b) => (elementBytes[b.type] ?? 1) - (elementBytes[a.type] ?? 1) || a.at - b.at);
    const mainPath = this.#shardPath(shard, "main");
    {
      await using file = await open(mainPath, "r+");
      await using rest = await open(this.#shardPath(shard, "rest"), "r");
      let end = this.#headerBytes + main.reduce((sum, part) => sum + part.bytes, 0);
      for (const { at, bytes } of waiting) {
        await copyRange(rest, at, bytes, file, end);
        end += bytes;
      }
      const header = this.#header([...main, ...waiting]);
      await file.write(header, 0, header.length, 0);
      await file.datasync();
    }
    await rename(mainPath, this.#path(name));
    await rm(this.#shardPath(shard, "rest"));
  }

  #header(parts: readonly PartRecord[]): Buffer {
    const entries: [string, unknown][] = [["__metadata__", { format: "pt" }]];
    let offset = 0;
    for (const { name, type, shape, bytes } of parts) {
      entries.push([name, { dtype: type, shape, data_offsets: [offset, offset + bytes] }]);
      offset += bytes;
    }
    const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
    if (json.length > this.#headerBytes - 8)
      throw new EspalierError("ERR_INTERNAL", `the header takes ${json.length} bytes, more than was left for it`);
    const header = Buffer.alloc(this.#headerBytes, " ");
    header.writeBigUInt64LE(BigInt(this.#headerBytes - 8));
    json.copy(header, 8);
    return header;
  }
}

function hashOf({ signature, maxShardBytes, names }: ShardWriterOptions): string {
  return createHash("sha256")
    .update(JSON.stringify([signature, maxShardBytes, names]))
    .digest("hex");
}

function parseLine<T>(line: string): T | null {
  try {
    return JSON.parse(line) as T;
  } catch {
    return null;
  }
}

async function copyRange(from: FileHandle, at: number, bytes: number, to: FileHandle, position: number): Promise<void> {
  const piece = Buffer.allocUnsafe(Math.min(bytes, 1 << 22));
  for (let done = 0; done < bytes;) {
    const { bytesRead } = await from.read(piece, 0, Math.min(piece.length, bytes - done), at + done);
    if (bytesRead === 0)
      throw new EspalierError("ERR_FILE_TRUNCATED", "a file of this run was cut short by someone else");
    for (let written = 0; written < bytesRead;)
      written += (await to.write(piece, written, bytesRead - written, position + done + written)).bytesWritten;
    done += bytesRead;
  }
}
