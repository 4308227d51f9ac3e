// SPDX-License-Identifier: Apache-2.0
/**
 * Head-residual merge (Minitron, arXiv 2407.14679, section 2.3): rows of a head that stays become
 * head + (head - pruned head).
 */
import { throwIfAborted } from "../abort.js";
import { readTensor, type CheckpointTensor, type WeightDtype } from "../checkpoint/index.js";
import { EspalierError } from "../errors.js";
import { gather } from "./gather.js";

export interface Merge {
  /** Heads that stay. */
  heads: Uint32Array;
  /** The pruned head merged into each; -1: none. */
  partners: Int32Array;
  cols: Uint32Array | null;
  headDim: number;
  /** [heads * headDim], stored as one row. */
  isVector: boolean;
}

/** Rows of the heads that stay, a head at a time. */
export async function* mergedHeads(
  source: CheckpointTensor,
  { heads, partners, cols, headDim, isVector }: Merge,
  dtype: WeightDtype,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const vector = isVector ? await readTensor(source) : null;
  const rowsOf = async (head: number): Promise<Float32Array> => {
    const rowBegin = head * headDim;
    if (vector !== null) return vector.slice(rowBegin, rowBegin + headDim);
    return gather(await readTensor(source, { rowBegin, rowCount: headDim }), source.cols, null, cols);
  };
  for (const [i, head] of heads.entries()) {
    throwIfAborted(signal);
    const values = await rowsOf(head);
    const partner = partners[i]!;
    if (partner >= 0) {
      const pruned = await rowsOf(partner);
      values.forEach((value, at) => (values[at] = 2 * value - pruned[at]!));
    }
    yield rounded(values, dtype, source.name);
  }
}

/** float32 values as bytes of `dtype`, to nearest, ties to even. ERR_WEIGHT_VALUE when a value overflows. */
export function rounded(values: Float32Array, dtype: WeightDtype, name: string): Uint8Array {
  if (dtype === "f32") return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bitsOf = dtype === "f16" ? f16Bits : bf16Bits;
  const infinity = dtype === "f16" ? 0x7c00 : 0x7f80;
  const out = Uint16Array.from(values, bitsOf);
  const bad = out.findIndex((bits) => (bits & 0x7fff) >= infinity);
  if (bad >= 0)
    throw new EspalierError("ERR_WEIGHT_VALUE", `${name}: merged head: ${values[bad]} is too large for ${dtype}`);
  return new Uint8Array(out.buffer);
}

const word = new Float32Array(1);
const wordBits = new Uint32Array(word.buffer);

function bf16Bits(value: number): number {
  word[0] = value;
  const bits = wordBits[0]!;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function f16Bits(value: number): number {
  word[0] = Math.abs(value);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const exponent = (wordBits[0]! >>> 23) - 127;
  if (!(word[0] < 65520)) return sign | 0x7c00;
  if (exponent < -14) return sign | roundEven(word[0] * 2 ** 24);
  // A mantissa that rounds up to 2 carries into the exponent, as it should.
  return sign | (((exponent + 15) << 10) + roundEven((word[0] / 2 ** exponent - 1) * 1024));
}

function roundEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
