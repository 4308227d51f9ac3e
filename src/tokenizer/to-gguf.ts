// SPDX-License-Identifier: Apache-2.0
/**
 * Hugging Face tokenizer files as the metadata of a GGUF file: the inverse of from-gguf.ts. Runs in the worker.
 */
import type { GgufEntry } from "../checkpoint/gguf-types.js";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import { adaptTokenizerJson, type TokenizerJson } from "./adapt.js";
import { END_OF_TURN, SPACE, tokenTypes } from "./gguf-tokens.js";
import { ggufPreName } from "./gguf-pre-name.js";
import { ggufPreTokenizers } from "./gguf-pre-tokenizers.js";
import type { TokenizerParts } from "./read-source.js";

export interface ToGgufOptions {
  /** Rows of the embedding: ids that no token has are filled up. */
  vocabSize: number;
  /** tokenizer.ggml.pre, when the pre-tokenizer is not to be recognized. */
  pre?: string | undefined;
  /** Ids the model's own configuration gives, for what tokenizer_config.json leaves out. */
  bosTokenId: number | null;
  eosTokenIds: readonly number[];
  padTokenId: number | null;
}

interface Vocabulary {
  tokens: string[];
  types: number[];
  ids: Map<string, number>;
}

/** Every tokenizer.* key. */
export function ggufTokenizer(parts: TokenizerParts, options: ToGgufOptions): GgufEntry[] {
  const json = adaptTokenizerJson(parts.tokenizerJson, parts.where);
  const raw = parts.tokenizerJson as TokenizerJson; // checked above; what was adapted is not wanted here
  if (raw.model["type"] !== "BPE" && raw.model["type"] !== undefined)
    throw unsupported(parts.where, `model.type: expected BPE, found ${JSON.stringify(raw.model["type"])}`);
  const vocabulary = vocabularyOf(json, parts.where, options.vocabSize);
  const kind = raw.model["byte_fallback"] === true ? sentencePiece : bytePair;
  const special = specialIds(parts, vocabulary, options);
  return [
    ...kind(raw, vocabulary, parts.where, options),
    array("tokens", "string", vocabulary.tokens),
    array("token_type", "i32", vocabulary.types),
    ...special.map(([name, id]): GgufEntry => ({ key: `tokenizer.ggml.${name}_token_id`, type: "u32", value: id })),
    ...flags(raw, parts, special),
    ...templates(parts.templates),
  ];
}

function unsupported(where: string, what: string, hint?: string): EspalierError {
  return new EspalierError("ERR_TOKENIZER_UNSUPPORTED", `${where}: ${what}`, hint === undefined ? {} : { hint });
}

function array(name: string, element: "string" | "i32" | "f32", values: readonly (string | number)[]): GgufEntry {
  return { key: `tokenizer.ggml.${name}`, type: "array", element, values };
}

const text = (name: string, value: string): GgufEntry => ({ key: `tokenizer.ggml.${name}`, type: "string", value });
const flag = (name: string, value: boolean): GgufEntry => ({ key: `tokenizer.ggml.${name}`, type: "bool", value });

function vocabularyOf(json: TokenizerJson, where: string, size: number): Vocabulary {
  const ids = new Map(Object.entries(json.model["vocab"] as Record<string, number>));
  const tokens: string[] = [];
  const types: number[] = [];
  const put = (id: number, token: string, type: number): void => {
    if (id >= size)
      throw new EspalierError(
        "ERR_TOKENIZER_MALFORMED",
        `${where}: token ${JSON.stringify(token)} has the id ${id}, but the model's vocabulary ends at ${size - 1}`,
      );
    tokens[id] = token;
    types[id] = type;
  };
  const bytes = json.model["byte_fallback"] === true;
  for (const [token, id] of ids) {
    const isByte = bytes && /^<0x[0-9A-F]{2}>$/.test(token);
    const isUnknown = bytes && token === json.model["unk_token"];
    put(id, token, isUnknown ? tokenTypes.unknown : isByte ? tokenTypes.byte : tokenTypes.normal);
  }
  for (const { id, content, special } of json.added_tokens) {
    ids.set(content, id);
    if (types[id] === tokenTypes.unknown) continue;
    // llama.cpp looks for these in the text before it turns spaces into their mark.
    if (special) put(id, content, tokenTypes.control);
    else put(id, content.replaceAll(SPACE, " "), tokenTypes.userDefined);
  }
  for (let id = 0; id < size; ++id) if (tokens[id] === undefined) put(id, `[PAD${id}]`, tokenTypes.unused);
  return { tokens, types, ids };
}

function bytePair(json: TokenizerJson, _: Vocabulary, where: string, { pre }: ToGgufOptions): GgufEntry[] {
  const { normalizer } = json;
  const usual = normalizer === null || normalizer === undefined;
  if (!usual && !(isRecord(normalizer) && normalizer["type"] === "NFC"))
    throw unsupported(where, `normalizer: GGUF files have none for this kind, found ${kindOf(normalizer)}`);
  return [text("model", "gpt2"), text("pre", preName(json, where, pre)), array("merges", "string", mergesOf(json))];
}

function preName(json: TokenizerJson, where: string, given: string | undefined): string {
  const known = [...ggufPreTokenizers.keys()].join(", ");
  if (given !== undefined) {
    if (ggufPreTokenizers.has(given)) return given;
    throw new EspalierError("ERR_ARGUMENT", `pre: expected one of ${known}, found "${given}"`);
  }
  const name = ggufPreName(json["pre_tokenizer"], json.model["ignore_merges"] === true);
  if (name !== null) return name;
  throw unsupported(
    where,
    "pre_tokenizer: not one that GGUF has a name for",
    `llama.cpp would cut texts another way. Name the nearest one with --pre to write it all the same: ${known}.`,
  );
}

function kindOf(part: unknown): string {
  return isRecord(part) ? String(part["type"]) : typeof part;
}

function mergesOf(json: TokenizerJson): string[] {
  const merges = json.model["merges"] as (string | [string, string])[];
  return merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" ")));
}

/** llama.cpp joins the pair whose result scores best: scores fall in the order of the merges. */
function sentencePiece(json: TokenizerJson, vocabulary: Vocabulary, where: string): GgufEntry[] {
  const merges = mergesOf(json);
  const ranks = new Map<string, number>();
  merges.forEach((merge, rank) => {
    const result = merge.replace(" ", "");
    if (!ranks.has(result)) ranks.set(result, rank);
  });
  const scores = vocabulary.tokens.map((token, id) => {
    if (vocabulary.types[id] !== tokenTypes.normal) return 0;
    return -(ranks.get(token) ?? merges.length + id);
  });
  return [
    text("model", "llama"),
    text("pre", "default"),
    array("scores", "f32", scores),
    flag("add_space_prefix", addsSpacePrefix(json, where)),
  ];
}

function addsSpacePrefix(json: TokenizerJson, where: string): boolean {
  const listed = isRecord(json["normalizer"]) ? json["normalizer"]["normalizers"] : undefined;
  const normalizers: unknown[] = Array.isArray(listed) ? listed : [json["normalizer"]];
  const pre = json["pre_tokenizer"];
  const kinds = normalizers.filter(isRecord).map((part) => part["type"]);
  const strange = kinds.find((kind) => kind !== "Prepend" && kind !== "Replace");
  if (strange !== undefined) throw unsupported(where, `normalizer: "${strange}" cannot be written as GGUF`);
  if (!isRecord(pre)) return kinds.includes("Prepend");
  if (pre["type"] !== "Metaspace")
    throw unsupported(where, `pre_tokenizer: expected Metaspace or none, found ${kindOf(pre)}`);
  return pre["prepend_scheme"] === undefined ? pre["add_prefix_space"] !== false : pre["prepend_scheme"] !== "never";
}

type SpecialId = [name: string, id: number];

function specialIds(parts: TokenizerParts, vocabulary: Vocabulary, options: ToGgufOptions): SpecialId[] {
  const idOf = (name: string): number | undefined => {
    const value = parts.tokenizerConfig[name];
    const content = isRecord(value) ? value["content"] : value;
    return typeof content === "string" ? vocabulary.ids.get(content) : undefined;
  };
  const unk = (parts.tokenizerJson as TokenizerJson).model["unk_token"];
  const eos = idOf("eos_token") ?? options.eosTokenIds[0];
  // Configurations also have ids by default, which mean something else in this vocabulary.
  const ends = options.eosTokenIds.filter((id) => id !== eos && vocabulary.types[id] === tokenTypes.control);
  const eot = ends.find((id) => END_OF_TURN.includes(vocabulary.tokens[id] ?? "")) ?? ends[0];
  const found: [string, number | null | undefined][] = [
    ["bos", idOf("bos_token") ?? options.bosTokenId],
    ["eos", eos],
    ["eot", eot],
    ["unknown", idOf("unk_token") ?? (typeof unk === "string" ? vocabulary.ids.get(unk) : undefined)],
    ["padding", idOf("pad_token") ?? options.padTokenId],
  ];
  return found.filter((row): row is SpecialId => typeof row[1] === "number" && row[1] < options.vocabSize);
}

function flags(json: TokenizerJson, parts: TokenizerParts, special: readonly SpecialId[]): GgufEntry[] {
  const around = framedBy(json["post_processor"]);
  const adds = (name: string): boolean => {
    const id = special.find(([row]) => row === name)?.[1];
    if (around !== null) return id !== undefined && around.includes(id);
    return parts.tokenizerConfig[`add_${name}_token`] === true;
  };
  return [flag("add_bos_token", adds("bos")), flag("add_eos_token", adds("eos"))];
}

/** Ids that the post-processor puts round a text; null when it is of no kind that could. */
function framedBy(processor: unknown): number[] | null {
  if (!isRecord(processor)) return null;
  if (processor["type"] === "Sequence" && Array.isArray(processor["processors"]))
    return processor["processors"].map(framedBy).find((ids) => ids !== null) ?? null;
  if (processor["type"] !== "TemplateProcessing" || !Array.isArray(processor["single"])) return null;
  const named = isRecord(processor["special_tokens"]) ? processor["special_tokens"] : {};
  return processor["single"].flatMap((piece: unknown) => {
    const token =
      isRecord(piece) && isRecord(piece["SpecialToken"]) ? named[String(piece["SpecialToken"]["id"])] : null;
    return isRecord(token) && Array.isArray(token["ids"]) ? (token["ids"] as number[]) : [];
  });
}

function templates(named: ReadonlyMap<string, string>): GgufEntry[] {
  const entries: GgufEntry[] = [];
  const more = [...named.keys()].filter((name) => name !== "default");
  for (const [name, value] of named)
    entries.push({ key: `tokenizer.chat_template${name === "default" ? "" : `.${name}`}`, type: "string", value });
  if (more.length > 0)
    entries.push({ key: "tokenizer.chat_templates", type: "array", element: "string", values: more });
  return entries;
}
