/**
 * A checkpoint's identity for lineage: sha256 over its configuration and, for each file, name, size and header. Cheap
 * even for large models; it notices other tensors, shapes and types, not a changed weight.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import type { Checkpoint } from "./types.js";

/** "sha256:..." */
export async function fingerprintOf(checkpoint: Checkpoint): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(checkpoint.config));
  for (const file of checkpoint.files) {
    hash.update(`\0${basename(file.path)}\0${file.sizeBytes}\0`);
    for await (const piece of createReadStream(file.path, { end: file.headerBytes - 1 })) hash.update(piece as Buffer);
  }
  return `sha256:${hash.digest("hex")}`;
}
