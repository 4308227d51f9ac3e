// SPDX-License-Identifier: Apache-2.0
/**
 * BPE as converted from SentencePiece (Llama 2, Mistral): spaces become "▁", characters without a token become bytes.
 * There is no pre-tokenizer, but where no token has "▁" after anything else, none spans the place before one.
 */
import { isRecord } from "../../json.js";
import type { TokenizerJson } from "../adapt.js";
import type { WordEncoder } from "./encoder.js";
import { MergeTable, readMerges } from "./merges.js";

const SPACE = "\u2581";
/** A run of spaces and what follows it up to the next run. */
const WORDS = /\u2581+[^\u2581]*|[^\u2581]+/gu;
const SPANS_WORDS = /[^\u2581]\u2581/u;

/** null for another kind of tokenizer. */
export function sentencePieceWords(json: TokenizerJson): WordEncoder | null {
  const { model } = json;
  const prefix = prefixOf(json["normalizer"]);
  if (prefix === null || json["pre_tokenizer"] != null || model["ignore_merges"] === true) return null;
  if (model["byte_fallback"] !== true || !isRecord(model["vocab"])) return null;
  const vocab = new Map(Object.entries(model["vocab"] as Record<string, number>));
  const bytes = Array.from({ length: 256 }, (_, byte) =>
    vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  );
  const merges = readMerges(model["merges"], vocab);
  if (bytes.includes(undefined) || merges === null) return null;
  const names = [...vocab].filter(([token]) => SPANS_WORDS.test(token)).map(([, id]) => id);
  const spanning = new Set(names);
  if (merges.some(([, , result]) => spanning.has(result))) return null;
  const table = new MergeTable(merges);
  return {
    split: (text, visit) => {
      for (const word of (prefix + text.replaceAll(" ", SPACE)).match(WORDS) ?? []) visit(word);
    },
    encode: (word) => {
      const ids = Int32Array.from(symbolsOf(word, vocab, bytes as number[]));
      return ids.subarray(0, table.apply(ids, ids.length));
    },
  };
}

function symbolsOf(word: string, vocab: ReadonlyMap<string, number>, byteIds: readonly number[]): number[] {
  return [...word].flatMap((character) => {
    const id = vocab.get(character);
    return id ?? Array.from(Buffer.from(character, "utf8"), (byte) => byteIds[byte]!);
  });
}

/** Put before a text: "▁" or nothing; null when the normalizer does anything but that and turning spaces to "▁". */
function prefixOf(normalizer: unknown): string | null {
  if (!isRecord(normalizer)) return null;
  const parts = normalizer["type"] === "Sequence" ? (normalizer["normalizers"] as unknown[]) : [normalizer];
  const [replace, prepend] = [parts.at(-1), parts.length > 1 ? parts[0] : null];
  if (!isRecord(replace) || replace["type"] !== "Replace" || replace["content"] !== SPACE || parts.length > 2)
    return null;
  if (!isRecord(replace["pattern"]) || replace["pattern"]["String"] !== " ") return null;
  if (prepend === null) return "";
  return isRecord(prepend) && prepend["type"] === "Prepend" && prepend["prepend"] === SPACE ? SPACE : null;
}
