/** What compressed-tensors makes of one weight in int4 (test/oracles/int4_group.py). */
import { readFileSync } from "node:fs";
import { join } from "node:path";

interface Stored {
  rows: number;
  cols: number;
  weight: string;
  cases: {
    groupSize: number;
    symmetric: boolean;
    scales: string;
    zeroPoints: string;
    packed: string;
    packedZeroPoints: string;
    dequantized: string;
  }[];
}

export interface Int4Case {
  groupSize: number;
  symmetric: boolean;
  /** [rows, cols / groupSize] */
  scales: Float32Array;
  zeroPoints: Int8Array;
  /** [rows, cols / 8] */
  packed: Uint32Array;
  /** [rows / 8, cols / groupSize] */
  packedZeroPoints: Uint32Array;
  /** SHA-256 of the dequantized values [rows, cols]. */
  dequantized: string;
}

const path = join(__dirname, "../../fixtures/quant/int4_group.json");
const stored = JSON.parse(readFileSync(path, "utf8")) as Stored;
const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "base64")).buffer;

export const { rows, cols } = stored;
export const weight = new Float32Array(bytesOf(stored.weight));
export const cases = stored.cases.map((row): Int4Case => ({
  ...row,
  scales: new Float32Array(bytesOf(row.scales)),
  zeroPoints: new Int8Array(bytesOf(row.zeroPoints)),
  packed: new Uint32Array(bytesOf(row.packed)),
  packedZeroPoints: new Uint32Array(bytesOf(row.packedZeroPoints)),
}));
