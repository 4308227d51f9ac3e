// SPDX-License-Identifier: Apache-2.0
/**
 * Encodes conversations off the event loop.
 */
import { createHash } from "node:crypto";
import { EspalierError } from "../../errors.js";
import { TokenizerCore } from "../../tokenizer/core.js";
import { fingerprintOf } from "../../tokenizer/fingerprint.js";
import type { TokenizerSource } from "../../tokenizer/index.js";
import { readSource } from "../../tokenizer/read-source.js";
import { serve } from "../../workers/serve.js";
import { linesOf } from "../tokenize/documents.js";
import { GrowingArray } from "../tokenize/growing-array.js";
import type { BadLine } from "../tokenize/messages.js";
import { encodeConversation } from "./conversation.js";

export interface EncodedConversations {
  tokens: Int32Array;
  /** [tokens] 1: the assistant's. */
  learned: Uint8Array;
  /** [conversations] */
  lengths: Int32Array;
  lines: number;
  bad: BadLine[];
}

export interface ChatOperations {
  load: {
    in: { source: TokenizerSource };
    out: { fingerprint: string; vocabSize: number; eodTokenId: number | null; padTokenId: number | null };
  };
  encode: { in: { bytes: Uint8Array }; out: EncodedConversations };
  /** Of all conversations encoded so far, wherever chunks began. */
  digest: { in: null; out: string };
}

let core: TokenizerCore | null = null;
const hashes = ["tokens", "learned", "lengths"].map(() => createHash("sha256"));

serve<ChatOperations>("chat encoder", {
  load: async ({ source }) => {
    const parts = await readSource(source);
    core = new TokenizerCore(parts, { forCorpus: true });
    const { vocabSize, eosTokenIds, padTokenId } = core.info;
    return { fingerprint: fingerprintOf(parts), vocabSize, eodTokenId: eosTokenIds[0] ?? null, padTokenId };
  },
  encode: ({ bytes }) => {
    if (core === null) throw new EspalierError("ERR_INTERNAL", "the tokenizer is not loaded");
    const part = encodeLines(core, bytes);
    [part.tokens, part.learned, part.lengths].forEach((array, i) => hashes[i]!.update(array));
    return part;
  },
  digest: () => hashes.map((hash) => hash.digest("hex")).join(),
});

function encodeLines(tokenizer: TokenizerCore, bytes: Uint8Array): EncodedConversations {
  const tokens = new GrowingArray("int32");
  const lengths = new GrowingArray("int32");
  const learned: Uint8Array[] = [];
  const count = { lines: 0 };
  const bad: BadLine[] = [];
  for (const line of linesOf(bytes, count)) {
    if ("bad" in line) {
      bad.push({ line: line.line, reason: line.bad });
      continue;
    }
    try {
      const conversation = encodeConversation(tokenizer, parseJson(line.text));
      tokens.append(conversation.tokens);
      lengths.append([conversation.tokens.length]);
      learned.push(conversation.learned);
    } catch (error) {
      if (!(error instanceof EspalierError)) throw error;
      // Without a template no line can be good.
      if (error.code === "ERR_CHAT_TEMPLATE_MISSING")
        throw new EspalierError(error.code, `lines of messages are rendered by a chat template: ${error.message}`);
      bad.push({ line: line.line, reason: error.message });
    }
  }
  return {
    tokens: tokens.take() as Int32Array,
    learned: Uint8Array.from(Buffer.concat(learned)),
    lengths: lengths.take() as Int32Array,
    ...count,
    bad,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new EspalierError("ERR_DATA_CHAT", `not JSON: ${(error as Error).message}`, { cause: error });
  }
}
