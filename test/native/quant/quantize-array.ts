/** binding.quantizeTensor of values that no file holds yet. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { binding, type QuantizeTensorOptions } from "../../../src/binding.js";
import { temporaryDirectory } from "../../temporary.js";

const directory = temporaryDirectory();
let count = 0;

/** The parts of w [rows, cols], by suffix. */
export async function quantizeArray(
  w: Float32Array,
  rows: number,
  options: QuantizeTensorOptions,
): Promise<Map<string, { type: string; shape: number[]; bytes: Uint8Array }>> {
  const path = join(directory, `w${count++}`);
  writeFileSync(path, new Uint8Array(w.buffer, w.byteOffset, w.byteLength));
  const file = new binding.MappedFile(path);
  const cols = w.length / rows;
  const source = { offset: 0, sizeBytes: w.byteLength, type: "f32", rows, cols, permuteHeads: 0 };
  const { parts } = await binding.quantizeTensor(file, source, options);
  file.close();
  return new Map(parts.map(({ suffix, data, ...part }) => [suffix, { ...part, bytes: Uint8Array.from(data) }]));
}
