// SPDX-License-Identifier: Apache-2.0
/**
 * Takes one member out of a zip file. Only what Python wheels need: one disk, stored or deflated, no encryption, below
 * 4 GiB. The file is untrusted: every offset and size is checked.
 */
import { createWriteStream } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { Transform } from "node:stream";
import { createInflateRaw } from "node:zlib";
import { EspalierError } from "../errors.js";

const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 0xffff;
const MAX_DIRECTORY_BYTES = 1 << 26;

interface Member {
  name: string;
  method: number;
  packedBytes: number;
  sizeBytes: number;
  headerOffset: number;
}

/** Writes the one member whose name `matches` to `target`; returns its name and size. */
export async function extractZipMember(
  path: string,
  matches: (name: string) => boolean,
  target: string,
  signal?: AbortSignal,
): Promise<{ name: string; sizeBytes: number }> {
  const file = await open(path, "r");
  try {
    const members = (await readDirectory(file, path)).filter((member) => matches(member.name));
    const [member] = members;
    if (member === undefined || members.length > 1)
      throw damaged(path, `expected one member of the wanted name, found ${members.length}`);
    await extract(file, path, member, target, signal);
    return { name: member.name, sizeBytes: member.sizeBytes };
  } finally {
    await file.close();
  }
}

function damaged(path: string, what: string): EspalierError {
  return new EspalierError("ERR_PULL_RESPONSE", `${path}: not a usable zip file: ${what}`);
}

async function readAt(file: FileHandle, path: string, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, offset);
  if (bytesRead < length) throw damaged(path, `it ends before byte ${offset + length}`);
  return buffer;
}

async function readDirectory(file: FileHandle, path: string): Promise<Member[]> {
  const { size } = await file.stat();
  const tailBytes = Math.min(size, END_BYTES + MAX_COMMENT_BYTES);
  const tail = await readAt(file, path, size - tailBytes, tailBytes);
  let end = tail.length - END_BYTES;
  while (end >= 0 && tail.readUInt32LE(end) !== END_SIGNATURE) end--;
  if (end < 0) throw damaged(path, "it has no end record");
  const [count, bytes, offset] = [
    tail.readUInt16LE(end + 10),
    tail.readUInt32LE(end + 12),
    tail.readUInt32LE(end + 16),
  ];
  if (bytes > MAX_DIRECTORY_BYTES || offset + bytes > size) throw damaged(path, "its directory lies outside");
  return parseDirectory(await readAt(file, path, offset, bytes), count, path);
}

function parseDirectory(directory: Buffer, count: number, path: string): Member[] {
  const members: Member[] = [];
  for (let at = 0; members.length < count;) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== ENTRY_SIGNATURE)
      throw damaged(path, `entry ${members.length} of its directory is broken`);
    const [nameBytes, extra, comment] = [28, 30, 32].map((field) => directory.readUInt16LE(at + field)) as number[];
    members.push({
      name: directory.toString("utf8", at + 46, at + 46 + (nameBytes as number)),
      method: directory.readUInt16LE(at + 10),
      packedBytes: directory.readUInt32LE(at + 20),
      sizeBytes: directory.readUInt32LE(at + 24),
      headerOffset: directory.readUInt32LE(at + 42),
    });
    at += 46 + (nameBytes as number) + (extra as number) + (comment as number);
  }
  return members;
}

async function extract(
  file: FileHandle,
  path: string,
  member: Member,
  target: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const header = await readAt(file, path, member.headerOffset, 30);
  if (header.readUInt32LE(0) !== LOCAL_SIGNATURE) throw damaged(path, `${member.name} has no header`);
  if (member.method !== 0 && member.method !== 8)
    throw damaged(path, `${member.name} is packed by method ${member.method}, expected 0 or 8`);
  const start = member.headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  const packed = file.createReadStream({ start, end: start + member.packedBytes - 1, autoClose: false });
  const limit = exactly(member, path);
  const out = createWriteStream(target, { flags: "wx" });
  const options = signal === undefined ? {} : { signal };
  if (member.method === 0) await pipeline(packed, limit, out, options);
  else await pipeline(packed, createInflateRaw(), limit, out, options);
}

/** Lets just the promised bytes through. */
function exactly({ name, sizeBytes }: Member, path: string): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length;
      if (seen > sizeBytes) done(damaged(path, `${name} is longer than the ${sizeBytes} bytes promised`));
      else done(null, chunk);
    },
    flush(done) {
      done(seen < sizeBytes ? damaged(path, `${name} ends at ${seen} of ${sizeBytes} bytes`) : null);
    },
  });
}
