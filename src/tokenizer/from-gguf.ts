// SPDX-License-Identifier: Apache-2.0
/**
 * Hugging Face tokenizer files from the metadata of a GGUF file. They load in transformers and give the same ids there.
 */
import { EspalierError } from "../errors.js";
import { ggufPreTokenizers } from "./gguf-pre-tokenizers.js";
import { END_OF_TURN, SPACE, tokenTypes } from "./gguf-tokens.js";
import type { GgufMetadata } from "./messages.js";

export interface TokenizerFileContents {
  tokenizerJson: Record<string, unknown>;
  tokenizerConfig: Record<string, unknown>;
  /** Holds the ids that end a generation; null when the file names none. */
  generationConfig: Record<string, unknown> | null;
}

/** Typed access to tokenizer.* keys; errors name the key. */
class Fields {
  constructor(private readonly metadata: GgufMetadata) {}

  raw(key: string): unknown {
    if (this.metadata instanceof Map) return this.metadata.get(key);
    return Object.hasOwn(this.metadata, key) ? (this.metadata as Record<string, unknown>)[key] : undefined;
  }

  fail(key: string, expected: string): EspalierError {
    const value = this.raw(key);
    const found = value === undefined ? "nothing" : Array.isArray(value) ? "an array" : `${typeof value}`;
    return new EspalierError("ERR_TOKENIZER_MALFORMED", `GGUF metadata ${key}: expected ${expected}, found ${found}`);
  }

  text(key: string): string | undefined {
    const value = this.raw(key);
    if (value === undefined || typeof value === "string") return value;
    throw this.fail(key, "a string");
  }

  flag(key: string): boolean | undefined {
    const value = this.raw(key);
    if (value === undefined || typeof value === "boolean") return value;
    throw this.fail(key, "a boolean");
  }

  texts(key: string): string[] | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
    throw this.fail(key, "an array of strings");
  }

  numbers(key: string, length: number): number[] | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    const list =
      Array.isArray(value) || ArrayBuffer.isView(value) ? Array.from(value as ArrayLike<unknown>, Number) : [];
    if (list.length === length && !list.some(Number.isNaN)) return list;
    throw this.fail(key, `${length} numbers, one a token`);
  }

  /** The token of an id key, or undefined when the key is absent. */
  token(key: string, tokens: readonly string[]): { id: number; content: string } | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    const id = Number(value);
    const content = tokens[id];
    if (content === undefined) throw this.fail(key, `an id below ${tokens.length}`);
    return { id, content };
  }
}

interface Vocabulary {
  tokens: string[];
  types: number[] | undefined;
  ids: Map<string, number>;
}

/** Builds tokenizer.json, tokenizer_config.json and generation_config.json. `metadata` has the file's full keys. */
export function tokenizerFilesFromGguf(metadata: GgufMetadata): TokenizerFileContents {
  const fields = new Fields(metadata);
  const model = fields.text("tokenizer.ggml.model");
  if (model === undefined)
    throw new EspalierError("ERR_TOKENIZER_MISSING", "the GGUF metadata has no tokenizer.ggml.model");
  const vocabulary = readVocabulary(fields);
  const flags = { addsBos: false, addsEos: fields.flag("tokenizer.ggml.add_eos_token") ?? false };
  let parts: Record<string, unknown>;
  if (model === "gpt2") parts = bytePairParts(fields, vocabulary, flags);
  else if (model === "llama") parts = sentencePieceParts(fields, vocabulary, flags);
  else
    throw new EspalierError(
      "ERR_TOKENIZER_UNSUPPORTED",
      `GGUF metadata tokenizer.ggml.model: expected "gpt2" or "llama", found ${JSON.stringify(model)}`,
    );
  const tokenizerJson = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary),
    ...parts,
    post_processor: postProcessor(fields, vocabulary, flags),
  };
  return {
    tokenizerJson: { ...tokenizerJson, decoder: parts["decoder"], model: parts["model"] },
    tokenizerConfig: tokenizerConfig(fields, vocabulary, flags),
    generationConfig: generationConfig(fields, vocabulary),
  };
}

function readVocabulary(fields: Fields): Vocabulary {
  const listed = fields.texts("tokenizer.ggml.tokens");
  if (listed === undefined || listed.length === 0) throw fields.fail("tokenizer.ggml.tokens", "an array of strings");
  const types = fields.numbers("tokenizer.ggml.token_type", listed.length);
  const ids = new Map<string, number>();
  const tokens = listed.map((token, id) => {
    // A vocabulary in tokenizer.json has one id a spelling: a second one can only be decoded, never encoded.
    const spelling = ids.has(token) ? `[${token}#${id}]` : token;
    ids.set(spelling, id);
    return spelling;
  });
  return { tokens, types, ids };
}

interface Flags {
  addsBos: boolean;
  addsEos: boolean;
}

function bytePairParts(fields: Fields, vocabulary: Vocabulary, flags: Flags): Record<string, unknown> {
  const name = fields.text("tokenizer.ggml.pre") ?? "default";
  const pre = ggufPreTokenizers.get(name);
  if (pre === undefined)
    throw new EspalierError(
      "ERR_TOKENIZER_UNSUPPORTED",
      `GGUF metadata tokenizer.ggml.pre: expected one of ${[...ggufPreTokenizers.keys()].join(", ")}, found "${name}"`,
    );
  const merges = fields.texts("tokenizer.ggml.merges");
  if (merges === undefined) throw fields.fail("tokenizer.ggml.merges", "an array of strings");
  flags.addsBos = fields.flag("tokenizer.ggml.add_bos_token") ?? pre.addsBos;
  return {
    normalizer: pre.normalizer,
    pre_tokenizer: pre.preTokenizer,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      ...bpe(vocabulary, splitMerges(merges, vocabulary)),
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoreMerges,
    },
  };
}

/** "left right"; a merge of tokens that are not there could never happen and would be refused by others. */
function splitMerges(merges: readonly string[], vocabulary: Vocabulary): [string, string][] {
  return merges.flatMap((merge): [string, string][] => {
    const space = merge.indexOf(" ", 1);
    const [left, right] = [merge.slice(0, space), merge.slice(space + 1)];
    const known = vocabulary.ids.has(left) && vocabulary.ids.has(right) && vocabulary.ids.has(left + right);
    return space > 0 && known ? [[left, right]] : [];
  });
}

function bpe(vocabulary: Vocabulary, merges: [string, string][]): Record<string, unknown> {
  return {
    type: "BPE",
    dropout: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    vocab: Object.fromEntries(vocabulary.ids),
    merges,
  };
}

function sentencePieceParts(fields: Fields, vocabulary: Vocabulary, flags: Flags): Record<string, unknown> {
  const scores = fields.numbers("tokenizer.ggml.scores", vocabulary.tokens.length);
  if (scores === undefined) throw fields.fail("tokenizer.ggml.scores", "one number a token");
  flags.addsBos = fields.flag("tokenizer.ggml.add_bos_token") ?? true;
  const prefix = fields.flag("tokenizer.ggml.add_space_prefix") ?? true;
  const unknown = fields.token("tokenizer.ggml.unknown_token_id", vocabulary.tokens)?.content;
  const replaceSpaces = { type: "Replace", pattern: { String: " " }, content: SPACE };
  const normalizers = prefix ? [{ type: "Prepend", prepend: SPACE }, replaceSpaces] : [replaceSpaces];
  const decoders = [
    { type: "Replace", pattern: { String: SPACE }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
    ...(prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
  ];
  return {
    normalizer: { type: "Sequence", normalizers },
    pre_tokenizer: null,
    decoder: { type: "Sequence", decoders },
    model: {
      ...bpe(vocabulary, mergesByScore(vocabulary, scores)),
      unk_token: unknown ?? (vocabulary.ids.has("<unk>") ? "<unk>" : null),
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
    },
  };
}

/** SentencePiece joins the pair whose result scores best: every cut of a token into two tokens is a merge. */
function mergesByScore(vocabulary: Vocabulary, scores: readonly number[]): [string, string][] {
  const merges: { score: number; left: number; right: number }[] = [];
  vocabulary.tokens.forEach((token, id) => {
    const score = scores[id] as number;
    for (let cut = 1; cut < token.length; cut++) {
      const left = vocabulary.ids.get(token.slice(0, cut));
      const right = left === undefined ? undefined : vocabulary.ids.get(token.slice(cut));
      if (left !== undefined && right !== undefined) merges.push({ score, left, right });
    }
  });
  merges.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right);
  return merges.map(({ left, right }) => [vocabulary.tokens[left] as string, vocabulary.tokens[right] as string]);
}

function addedTokens({ tokens, types }: Vocabulary): object[] {
  return tokens.flatMap((content, id) => {
    const type = types?.[id];
    if (type !== tokenTypes.unknown && type !== tokenTypes.control && type !== tokenTypes.userDefined) return [];
    const special = type !== tokenTypes.userDefined;
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

/** Puts the beginning (and end) of sequence round the text. */
function postProcessor(fields: Fields, { tokens }: Vocabulary, flags: Flags): object | null {
  const bos = flags.addsBos ? fields.token("tokenizer.ggml.bos_token_id", tokens) : undefined;
  const eos = flags.addsEos ? fields.token("tokenizer.ggml.eos_token_id", tokens) : undefined;
  if (bos === undefined && eos === undefined) return null;
  const sequence = (id: "A" | "B", type: number): object[] => [
    ...(bos === undefined ? [] : [{ SpecialToken: { id: bos.content, type_id: type } }]),
    { Sequence: { id, type_id: type } },
    ...(eos === undefined ? [] : [{ SpecialToken: { id: eos.content, type_id: type } }]),
  ];
  const special = [bos, eos].filter((token) => token !== undefined);
  return {
    type: "TemplateProcessing",
    single: sequence("A", 0),
    pair: [...sequence("A", 0), ...sequence("B", 1)],
    special_tokens: Object.fromEntries(
      special.map(({ id, content }) => [content, { id: content, ids: [id], tokens: [content] }]),
    ),
  };
}

function tokenizerConfig(fields: Fields, { tokens }: Vocabulary, flags: Flags): Record<string, unknown> {
  const named = { bos: "bos", eos: "eos", unk: "unknown", pad: "padding" };
  const special = Object.entries(named).flatMap(([short, long]) => {
    const token = fields.token(`tokenizer.ggml.${long}_token_id`, tokens);
    return token === undefined ? [] : [[`${short}_token`, token.content] as const];
  });
  const architecture = fields.text("general.architecture");
  const context = architecture === undefined ? undefined : fields.raw(`${architecture}.context_length`);
  const template = fields.text("tokenizer.chat_template");
  return {
    add_bos_token: flags.addsBos,
    add_eos_token: flags.addsEos,
    ...Object.fromEntries(special),
    ...(template === undefined ? {} : { chat_template: chatTemplates(fields, template) }),
    clean_up_tokenization_spaces: false,
    ...(context === undefined ? {} : { model_max_length: Number(context) }),
    tokenizer_class: "PreTrainedTokenizerFast",
  };
}

/** More templates lie under tokenizer.chat_template.NAME, their names in tokenizer.chat_templates. */
function chatTemplates(fields: Fields, template: string): string | object[] {
  const named = (fields.texts("tokenizer.chat_templates") ?? []).flatMap((name) => {
    const text = fields.text(`tokenizer.chat_template.${name}`);
    return text === undefined ? [] : [{ name, template: text }];
  });
  return named.length === 0 ? template : [{ name: "default", template }, ...named];
}

function generationConfig(fields: Fields, { tokens, types, ids }: Vocabulary): Record<string, unknown> | null {
  const id = (name: string): number | undefined => fields.token(`tokenizer.ggml.${name}_token_id`, tokens)?.id;
  const turns = END_OF_TURN.map((token) => ids.get(token)).filter(
    (end) => end !== undefined && types?.[end] === tokenTypes.control,
  );
  const ends = [id("eos"), id("eot"), id("eom"), ...turns].filter((end) => end !== undefined);
  const eos = [...new Set(ends)];
  if (eos.length === 0) return null;
  const [bos, pad] = [id("bos"), id("padding")];
  return {
    ...(bos === undefined ? {} : { bos_token_id: bos }),
    eos_token_id: eos.length === 1 ? eos[0] : eos,
    ...(pad === undefined ? {} : { pad_token_id: pad }),
  };
}
