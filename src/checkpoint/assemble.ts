/**
 * What both formats share: the set of open files, shapes, tied tensors, and the Checkpoint object.
 */
import type { MappedFile } from "../binding.js";
import { familyOf } from "../model/families.js";
import type { ModelSpec } from "../model/spec.js";
import type { Checkpoint, CheckpointFile, CheckpointTensor } from "./types.js";

/** Files opened so far; closed together, also when opening fails half-way. */
export class OpenFiles {
  readonly list: CheckpointFile[] = [];

  add(path: string, mapped: MappedFile, headerBytes: number): MappedFile {
    this.list.push({ path, sizeBytes: mapped.sizeBytes, headerBytes, mapped });
    return mapped;
  }

  close(): void {
    for (const file of this.list) file.mapped.close();
  }
}

/** [rows, cols] of a shape; a vector is one row, higher dimensions join the rows. */
export function sourceShape(shape: readonly number[]): { rows: number; cols: number } {
  const cols = shape[shape.length - 1] ?? 1;
  return { rows: shape.slice(0, -1).reduce((product, size) => product * size, 1), cols };
}

/** Tied models are found with the shared matrix under either name; the embedding's is the one we use. */
export function aliasTiedTensors(tensors: Map<string, CheckpointTensor>, spec: ModelSpec): void {
  if (!spec.tieWordEmbeddings) return;
  const rows = familyOf(spec.family).tensors;
  const embedding = rows.find((row) => row.role === "embed_tokens")?.name ?? "";
  const head = tensors.get(rows.find((row) => row.role === "lm_head")?.name ?? "");
  if (head !== undefined && !tensors.has(embedding)) tensors.set(embedding, { ...head, name: embedding });
}

export function assemble(
  parts: Omit<Checkpoint, "files" | "close" | typeof Symbol.asyncDispose>,
  files: OpenFiles,
): Checkpoint {
  return {
    ...parts,
    files: files.list,
    close: () => files.close(),
    [Symbol.asyncDispose]: () => {
      files.close();
      return Promise.resolve();
    },
  };
}
