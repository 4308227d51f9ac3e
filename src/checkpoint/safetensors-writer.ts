/**
 * Writes one safetensors file: header first, then tensors streamed in order, never more than a few MiB in memory.
 */
import { open } from "node:fs/promises";
import { EspalierError } from "../errors.js";
import { BlockWriter } from "../files/block-writer.js";

export type WeightDtype = "f32" | "f16" | "bf16";

export const dtypeBytes: Readonly<Record<WeightDtype, number>> = { f32: 4, f16: 2, bf16: 2 };

export interface PlannedTensor {
  name: string;
  shape: readonly number[];
  /** The tensor's bytes in order, in pieces. */
  pieces: () => AsyncIterable<Uint8Array>;
}

export function tensorBytes(shape: readonly number[], dtype: WeightDtype): number {
  return shape.reduce((product, size) => product * size, dtypeBytes[dtype]);
}

/**
 * Writes `tensors` to a new file; `onBytes` hears of each piece written.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly PlannedTensor[],
  dtype: WeightDtype,
  onBytes: (bytes: number) => void = () => {},
): Promise<void> {
  const file = await open(path, "wx");
  try {
    const out = new BlockWriter(file);
    await out.append(headerOf(tensors, dtype));
    for (const tensor of tensors) {
      let left = tensorBytes(tensor.shape, dtype);
      for await (const piece of tensor.pieces()) {
        left -= piece.length;
        await out.append(piece);
        onBytes(piece.length);
      }
      if (left !== 0) throw new EspalierError("ERR_INTERNAL", `${tensor.name}: ${left} bytes short of its shape`);
    }
    await out.finish();
  } finally {
    await file.close();
  }
}

/** Length, JSON, and spaces up to a multiple of 8: what the format's own library writes. */
function headerOf(tensors: readonly PlannedTensor[], dtype: WeightDtype): Buffer {
  const entries: [string, unknown][] = [["__metadata__", { format: "pt" }]];
  let offset = 0;
  for (const { name, shape } of tensors) {
    const end = offset + tensorBytes(shape, dtype);
    entries.push([name, { dtype: dtype.toUpperCase(), shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, " ");
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);
  return header;
}
