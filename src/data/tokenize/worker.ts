// SPDX-License-Identifier: Apache-2.0
/**
 * One of the tokenizing threads: holds a tokenizer, turns chunks into tokens.
 */
import { EspalierError } from "../../errors.js";
import { TokenizerCore } from "../../tokenizer/core.js";
import { fingerprintOf } from "../../tokenizer/fingerprint.js";
import { readSource } from "../../tokenizer/read-source.js";
import { serve } from "../../workers/serve.js";
import { DOCUMENT_END } from "../indexed-dataset/writer.js";
import { documentsOf } from "./documents.js";
import { GrowingArray } from "./growing-array.js";
import type { BadLine, Chunk, EncodedChunk, EncodeOptions, TokenizeOperations } from "./messages.js";
import { parquetGroups } from "./parquet.js";

const BAD_LINES_TOLD = 20;

let core: TokenizerCore | null = null;
let options: EncodeOptions | null = null;

serve<TokenizeOperations>("tokenizing thread", {
  load: async ({ source, eodToken }) => {
    const parts = await readSource(source);
    core = new TokenizerCore(parts, { forCorpus: true });
    const { vocabSize, eosTokenIds } = core.info;
    const eodTokenId = eodToken === null ? (eosTokenIds[0] ?? null) : (core.tokenToId(eodToken) ?? null);
    if (eodToken !== null && eodTokenId === null)
      throw new EspalierError("ERR_DATA_EOD", `${parts.where}: it has no token ${JSON.stringify(eodToken)}`);
    return { fingerprint: fingerprintOf(parts), vocabSize, eodTokenId };
  },
  prepare: (input) => {
    options = input;
  },
  encode: (chunk) => encode(chunk),
  rows: async ({ path, column }) => ({ groups: await parquetGroups(path, column) }),
});

async function encode(chunk: Chunk): Promise<EncodedChunk> {
  if (core === null || options === null) throw new EspalierError("ERR_INTERNAL", "the tokenizer is not loaded");
  const { dtype, jsonKey, addSpecialTokens, eodTokenId } = options;
  const tokens = new GrowingArray(dtype);
  const records = new GrowingArray("int32");
  const bad: BadLine[] = [];
  const counts = { lines: 0, emptyDocuments: 0, textBytes: 0, badLines: 0 };
  for await (const document of documentsOf(chunk, jsonKey, counts)) {
    if ("bad" in document) {
      counts.badLines += 1;
      if (bad.length < BAD_LINES_TOLD) bad.push({ line: document.line, reason: document.bad });
      continue;
    }
    const sequences: Int32Array[] = [];
    for (const text of document.texts) {
      counts.textBytes += Buffer.byteLength(text);
      const ids = core.encode(text, addSpecialTokens);
      if (ids.length > 0) sequences.push(ids);
    }
    sequences.forEach((ids, i) => {
      const ends = eodTokenId !== null && i === sequences.length - 1;
      tokens.append(ids);
      if (ends) tokens.append([eodTokenId]);
      records.append([ids.length + (ends ? 1 : 0)]);
    });
    records.append([DOCUMENT_END]);
    if (sequences.length === 0) counts.emptyDocuments += 1;
  }
  return { tokens: tokens.take(), records: records.take() as Int32Array, bad, ...counts };
}
