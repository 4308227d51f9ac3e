// SPDX-License-Identifier: Apache-2.0
/**
 * Rewrites a tokenizer.json so that @huggingface/tokenizers gives the ids of the Rust tokenizers: where the library
 * means something else by a part (ASCII digits, JavaScript's white space, unhandled split behaviours) the part is put
 * in other words, and what cannot be is refused rather than tokenized wrongly.
 */
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";

/** The library makes arrays as long as the highest id. */
const MAX_TOKEN_ID = 1 << 24;

export const GPT2_PATTERN = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

export interface TokenizerJson extends Record<string, unknown> {
  model: Record<string, unknown>;
  added_tokens: AddedTokenJson[];
}

export interface AddedTokenJson {
  id: number;
  content: string;
  special: boolean;
  [field: string]: unknown;
}

/** `where` names the file in errors. */
export function adaptTokenizerJson(json: unknown, where: string): TokenizerJson {
  if (!isRecord(json)) throw malformed(where, "the document", "an object", json);
  if (!isRecord(json["model"])) throw malformed(where, "model", "an object", json["model"]);
  checkModel(json["model"], where);
  for (const part of ["normalizer", "pre_tokenizer", "decoder"]) checkPatterns(json[part], part, where);
  return {
    post_processor: null,
    decoder: null,
    ...json,
    model: json["model"],
    normalizer: adaptNormalizer(json["normalizer"] ?? null),
    pre_tokenizer: adaptPreTokenizer(json["pre_tokenizer"] ?? null, where),
    added_tokens: checkAddedTokens(json["added_tokens"] ?? [], where),
  };
}

function malformed(where: string, field: string, expected: string, found: unknown): EspalierError {
  const kind = found === null ? "null" : Array.isArray(found) ? "an array" : typeof found;
  const shown = typeof found === "string" || typeof found === "number" ? JSON.stringify(found) : kind;
  return new EspalierError("ERR_TOKENIZER_MALFORMED", `${where}: ${field}: expected ${expected}, found ${shown}`);
}

function checkModel(model: Record<string, unknown>, where: string): void {
  const type = model["type"];
  if (type !== undefined && !["BPE", "WordPiece", "Unigram"].includes(type as string))
    throw new EspalierError(
      "ERR_TOKENIZER_UNSUPPORTED",
      `${where}: model.type: expected BPE, WordPiece or Unigram, found ${JSON.stringify(type)}`,
    );
  const vocab = model["vocab"];
  if (Array.isArray(vocab)) return; // Unigram: ids are places in the array
  if (!isRecord(vocab)) throw malformed(where, "model.vocab", "an object or an array", vocab);
  for (const [token, id] of Object.entries(vocab)) {
    if (!isTokenId(id)) throw malformed(where, `model.vocab[${JSON.stringify(token)}]`, "a token id", id);
  }
  const merges = model["merges"];
  if (type === "BPE" && !(Array.isArray(merges) && merges.every(isMerge)))
    throw malformed(where, "model.merges", "an array of pairs", merges);
}

/** The library only warns of a pattern it does not know, and goes on without. */
function checkPatterns(config: unknown, field: string, where: string): void {
  if (!isRecord(config)) return;
  const { type, pattern, normalizers, pretokenizers, decoders } = config;
  if (type === "Split" || type === "Replace") {
    const { String: literal, Regex: regex } = isRecord(pattern) ? pattern : {};
    if (typeof literal !== "string" && typeof regex !== "string")
      throw malformed(where, `${field}.pattern`, "{String} or {Regex}", pattern);
  }
  const parts = [normalizers, pretokenizers, decoders].find(Array.isArray) as unknown[] | undefined;
  parts?.forEach((part, index) => checkPatterns(part, `${field}[${index}]`, where));
}

function isTokenId(id: unknown): id is number {
  return typeof id === "number" && Number.isInteger(id) && id >= 0 && id < MAX_TOKEN_ID;
}

function isMerge(merge: unknown): boolean {
  if (typeof merge === "string") return merge.includes(" ");
  return Array.isArray(merge) && merge.length === 2 && typeof merge[0] === "string" && typeof merge[1] === "string";
}

function checkAddedTokens(tokens: unknown, where: string): AddedTokenJson[] {
  if (!Array.isArray(tokens)) throw malformed(where, "added_tokens", "an array", tokens);
  return tokens.map((token: unknown, index) => {
    const field = `added_tokens[${index}]`;
    if (!isRecord(token)) throw malformed(where, field, "an object", token);
    const { id, content } = token;
    if (!isTokenId(id)) throw malformed(where, `${field}.id`, "a token id", id);
    if (typeof content !== "string" || content === "")
      throw malformed(where, `${field}.content`, "a non-empty string", content);
    return { ...token, id, content, special: token["special"] === true };
  });
}

/** The library sees UTF-16 units, so Chinese characters beyond the first plane get their spaces here. */
function adaptNormalizer(config: unknown): unknown {
  if (!isRecord(config) || config["type"] !== "BertNormalizer" || config["handle_chinese_chars"] === false)
    return config;
  const pattern = { Regex: "[\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]" };
  return { type: "Sequence", normalizers: [{ type: "Replace", pattern, content: " $& " }, config] };
}

function split(pattern: string, invert = false): Record<string, unknown> {
  return { type: "Split", pattern: { Regex: pattern }, behavior: invert ? "Removed" : "Isolated", invert };
}

function adaptPreTokenizer(config: unknown, where: string): unknown {
  if (!isRecord(config)) return config;
  switch (config["type"]) {
    case "Sequence": {
      const parts: unknown = config["pretokenizers"];
      if (!Array.isArray(parts)) throw malformed(where, "pre_tokenizer.pretokenizers", "an array", parts);
      return { ...config, pretokenizers: parts.map((part: unknown) => adaptPreTokenizer(part, where)) };
    }
    case "Digits":
      return split(config["individual_digits"] === true ? String.raw`\p{N}` : String.raw`\p{N}+`);
    case "Whitespace":
      return split(String.raw`\w+|[^\w\s]+`, true);
    case "ByteLevel":
      // With add_prefix_space the space comes before the split, and the library does both in one.
      if (config["use_regex"] === false || config["add_prefix_space"] === true) return config;
      return { type: "Sequence", pretokenizers: [split(GPT2_PATTERN), { ...config, use_regex: false }] };
    case "Split":
      return adaptSplit(config, where);
    default:
      return config;
  }
}

/** The library knows Removed and Isolated; the other behaviours are said with patterns that match where to cut. */
function adaptSplit(config: Record<string, unknown>, where: string): Record<string, unknown> {
  const behavior = String(config["behavior"] ?? "Isolated");
  if (config["invert"] === true || behavior === "Removed" || behavior === "Isolated") return config;
  const pattern = isRecord(config["pattern"]) ? config["pattern"] : {};
  const literal = pattern["String"];
  if (typeof literal === "string") {
    const escaped = literal.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    if (behavior === "MergedWithPrevious") return split(`(?<=${escaped})`);
    if (behavior === "MergedWithNext") return split(`(?=${escaped})`);
    if (behavior === "Contiguous") return split(`(?:${escaped})+`);
  }
  if (typeof pattern["Regex"] === "string" && behavior === "Contiguous") return split(`(?:${pattern["Regex"]})+`);
  throw new EspalierError(
    "ERR_TOKENIZER_UNSUPPORTED",
    `${where}: pre_tokenizer: a Split by ${JSON.stringify(pattern)} with behavior "${behavior}" is not supported`,
  );
}
