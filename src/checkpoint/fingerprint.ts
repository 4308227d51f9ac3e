// SPDX-License-Identifier: Apache-2.0
/**
 * A checkpoint's identity for lineage, scores and runs: sha256 over its configuration and, for each file, name, size, header
 * and samples of the rest. Cheap even for large models; training or pruning changes values everywhere, so the samples
 * notice it; a single changed weight may stay unseen.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import type { Checkpoint, CheckpointFile } from "./types.js";

const SAMPLES = 64;
const SAMPLE_BYTES = 4096;

/** "sha256:..." */
export async function fingerprintOf(checkpoint: Checkpoint): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(checkpoint.config));
  for (const file of checkpoint.files) {
    hash.update(`\0${basename(file.path)}\0${file.sizeBytes}\0`);
    for await (const piece of createReadStream(file.path, { end: file.headerBytes - 1 })) hash.update(piece as Buffer);
    for await (const piece of samplesOf(file)) hash.update(piece);
  }
  return `sha256:${hash.digest("hex")}`;
}

/** Blocks spread evenly over what follows the header, the first and the last bytes among them. */
async function* samplesOf({ path, sizeBytes, headerBytes }: CheckpointFile): AsyncIterable<Buffer> {
  const room = sizeBytes - headerBytes;
  const size = Math.min(SAMPLE_BYTES, room);
  const file = await open(path);
  try {
    for (let i = 0; i < SAMPLES && size > 0; ++i) {
      const position = headerBytes + Math.floor(((room - size) * i) / (SAMPLES - 1));
      const { bytesRead, buffer } = await file.read(Buffer.alloc(size), 0, size, position);
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
