// SPDX-License-Identifier: Apache-2.0
/**
 * Megatron's token files: PREFIX.bin holds ids back to back, PREFIX.idx says where sequences and documents begin. All
 * little-endian, nothing aligned:
 *
 *   0   9 bytes  "MMIDIDX\0\0"
 *   9   u64      version, 1
 *   17  u8       dtype code of PREFIX.bin
 *   18  u64      N, sequences
 *   26  u64      D, documents + 1
 *   34  i32 N    sequence lengths, tokens
 *       i64 N    sequence pointers, bytes
 *       i64 D    first sequence of each document, and N
 */
import { EspalierError } from "../../errors.js";

export const MAGIC = Buffer.from("MMIDIDX\0\0", "latin1");
export const VERSION = 1;
export const HEADER_BYTES = 34;

/** Vocabularies below this are stored in 16 bits. */
export const UINT16_VOCAB_LIMIT = 65500;

export type TokenDtype = "uint8" | "int8" | "int16" | "int32" | "int64" | "uint16";

export const dtypes = {
  uint8: { code: 1, bytes: 1 },
  int8: { code: 2, bytes: 1 },
  int16: { code: 3, bytes: 2 },
  int32: { code: 4, bytes: 4 },
  int64: { code: 5, bytes: 8 },
  uint16: { code: 8, bytes: 2 },
} as const satisfies Record<TokenDtype, { code: number; bytes: number }>;

/** Codes of float types: known, but never token ids. */
const FLOAT_CODES = [6, 7];

export function dtypeOfCode(code: number, where: string): TokenDtype {
  const found = Object.entries(dtypes).find(([, dtype]) => dtype.code === code);
  if (found !== undefined) return found[0] as TokenDtype;
  const what = FLOAT_CODES.includes(code) ? "a float type, which holds no token ids" : "unknown";
  throw new EspalierError(
    "ERR_DATA_DTYPE",
    `${where}: dtype code: expected 1, 2, 3, 4, 5 or 8, found ${code} (${what})`,
  );
}

/** As Megatron chooses. */
export function dtypeForVocab(vocabSize: number): "uint16" | "int32" {
  return vocabSize < UINT16_VOCAB_LIMIT ? "uint16" : "int32";
}

export const binPath = (prefix: string): string => `${prefix}.bin`;
export const idxPath = (prefix: string): string => `${prefix}.idx`;
