// SPDX-License-Identifier: Apache-2.0
/**
 * The tokenizer itself, synchronous. Lives in the worker.
 */
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import { adaptTokenizerJson, type TokenizerJson } from "./adapt.js";
import { CorpusEncoder } from "./corpus/encoder.js";
import { ChatRenderer } from "./chat-template.js";
import type { ChatMessage, ChatTemplateOptions, TokenizerInfo } from "./messages.js";
import type { TokenizerParts } from "./read-source.js";
import { decoderFactory, type DecoderStage } from "./stream-decoder.js";

interface Stream {
  decoder: DecoderStage;
  skipSpecialTokens: boolean;
}

/** Ids before and after those of a text. */
interface Frame {
  before: Int32Array;
  after: Int32Array;
}

const NO_FRAME: Frame = { before: new Int32Array(0), after: new Int32Array(0) };

export class TokenizerCore {
  readonly info: TokenizerInfo;
  readonly #library: Library;
  readonly #encoder: CorpusEncoder | null;
  #frame: Frame | "unknown" | null = null;
  /** Name of the source in errors. */
  readonly #where: string;
  readonly #specialIds: ReadonlySet<number>;
  readonly #makeDecoder: () => DecoderStage;
  readonly #chat: ChatRenderer;
  readonly #streams = new Map<number, Stream>();

  /** `forCorpus` spends some memory on encoding large texts fast, where the tokenizer's kind allows it. */
  constructor(parts: TokenizerParts, { forCorpus = false } = {}) {
    this.#where = parts.where;
    const json = adaptTokenizerJson(parts.tokenizerJson, parts.where);
    this.#library = createLibrary(json, parts);
    this.#encoder = forCorpus ? CorpusEncoder.from(json) : null;
    this.#specialIds = new Set(json.added_tokens.filter((token) => token.special).map((token) => token.id));
    this.#makeDecoder = createDecoder(json, parts.where);
    const special = specialTokens(parts.tokenizerConfig);
    this.#chat = new ChatRenderer(parts.templates, special);
    this.info = this.#describe(json, parts, special);
  }

  encode(text: string, addSpecialTokens: boolean): Int32Array {
    // A lone surrogate has no UTF-8; the Rust tokenizers never see one.
    const clean = text.replace(/\p{Surrogate}/gu, "\ufffd");
    if (this.#encoder !== null) {
      const frame = addSpecialTokens ? (this.#frame ??= this.#findFrame()) : NO_FRAME;
      if (frame !== "unknown") return this.#encoder.encode(clean, frame.before, frame.after);
    }
    return this.#encodeByLibrary(clean, addSpecialTokens);
  }

  #encodeByLibrary(clean: string, addSpecialTokens: boolean): Int32Array {
    const ids: (number | undefined)[] = this.#fromLibrary(() =>
      this.#library.encode(clean, { add_special_tokens: addSpecialTokens }),
    ).ids;
    if (ids.includes(undefined)) throw malformed(this.#where, "the vocabulary lacks a token and has no unknown token");
    return Int32Array.from(ids as number[]);
  }

  /** What the post-processor puts round a text, as seen on one. */
  #findFrame(): Frame | "unknown" {
    const probe = "a";
    const [bare, framed] = [this.#encodeByLibrary(probe, false), this.#encodeByLibrary(probe, true)];
    for (let begin = 0; begin + bare.length <= framed.length; ++begin) {
      if (bare.some((id, i) => framed[begin + i] !== id)) continue;
      return { before: framed.slice(0, begin), after: framed.slice(begin + bare.length) };
    }
    return "unknown";
  }

  decode(ids: Int32Array, skipSpecialTokens: boolean): string {
    const stream = { decoder: this.#makeDecoder(), skipSpecialTokens };
    return this.#pushAll(stream, ids) + stream.decoder.flush().join("");
  }

  push(id: number, ids: Int32Array, skipSpecialTokens: boolean): string {
    const stream = this.#streams.get(id) ?? { decoder: this.#makeDecoder(), skipSpecialTokens };
    this.#streams.set(id, stream);
    return this.#pushAll(stream, ids);
  }

  flush(id: number): string {
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    return stream === undefined ? "" : stream.decoder.flush().join("");
  }

  render(messages: readonly ChatMessage[], options: ChatTemplateOptions): string {
    return this.#chat.render(messages, options);
  }

  idToToken(id: number): string | undefined {
    return this.#library.id_to_token(id);
  }

  tokenToId(token: string): number | undefined {
    return this.#library.token_to_id(token);
  }

  /** What the library trips over is in the file: it is given nothing else that could be wrong. */
  #fromLibrary<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw malformed(this.#where, error instanceof Error ? error.message : String(error), error);
    }
  }

  /** Ids without a token (a model's padding of the vocabulary) give no text. */
  #pushAll(stream: Stream, ids: Int32Array): string {
    let text = "";
    for (const id of ids) {
      if (stream.skipSpecialTokens && this.#specialIds.has(id)) continue;
      const token = this.#library.id_to_token(id);
      if (token !== undefined) text += stream.decoder.push(token).join("");
    }
    return text;
  }

  #describe(json: TokenizerJson, parts: TokenizerParts, special: Record<string, string>): TokenizerInfo {
    const idOf = (name: string): number | null => {
      const token = special[name];
      return token === undefined ? null : (this.tokenToId(token) ?? null);
    };
    const bosTokenId = idOf("bos_token");
    const added = json.added_tokens.reduce((highest, token) => Math.max(highest, token.id), -1);
    const eos = [idOf("eos_token"), parts.generationEos].flat().filter(isTokenId);
    return {
      vocabSize: Math.max(modelSize(json.model), added + 1),
      bosTokenId,
      padTokenId: idOf("pad_token"),
      unkTokenId: idOf("unk_token"),
      eosTokenIds: [...new Set(eos)],
      addsBos: bosTokenId !== null && this.encode("", true)[0] === bosTokenId,
      chatTemplate: parts.templates.get("default") ?? null,
    };
  }
}

function isTokenId(id: unknown): id is number {
  return typeof id === "number" && Number.isInteger(id) && id >= 0;
}

function malformed(where: string, what: string, cause?: unknown): EspalierError {
  return new EspalierError("ERR_TOKENIZER_MALFORMED", `${where}: ${what}`, { cause });
}

function modelSize(model: Record<string, unknown>): number {
  const vocab = model["vocab"];
  if (Array.isArray(vocab)) return vocab.length;
  return Object.values(vocab as Record<string, number>).reduce((highest, id) => Math.max(highest, id), -1) + 1;
}

function createLibrary(json: TokenizerJson, parts: TokenizerParts): Library {
  try {
    return new Library(json, { ...parts.tokenizerConfig });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (!message.startsWith("Unknown ")) throw malformed(parts.where, message, error);
    throw new EspalierError("ERR_TOKENIZER_UNSUPPORTED", `${parts.where}: ${message}`, { cause: error });
  }
}

function createDecoder(json: TokenizerJson, where: string): () => DecoderStage {
  const factory = decoderFactory(json["decoder"]);
  if (factory !== null) return factory;
  const type = isRecord(json["decoder"]) ? String(json["decoder"]["type"]) : typeof json["decoder"];
  throw new EspalierError("ERR_TOKENIZER_UNSUPPORTED", `${where}: decoder: type "${type}" or a part of it`);
}

/** bos_token and its like; tokenizer_config.json has them as strings or as {content}. */
function specialTokens(config: Record<string, unknown>): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const name of ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"]) {
    const value = config[name];
    const content = isRecord(value) ? value["content"] : value;
    if (typeof content === "string") tokens[name] = content;
  }
  return tokens;
}
