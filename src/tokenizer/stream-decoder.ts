// SPDX-License-Identifier: Apache-2.0
/**
 * Decoders of tokenizer.json as streams: tokens go in one by one, and only text that no later token can change comes
 * out. Decoding everything at once is pushing every token and flushing, so both give the same text, which is also the
 * text of the Rust tokenizers (the JavaScript library differs from them on invalid UTF-8).
 */
import { isRecord } from "../json.js";
import { byteOfCharacter } from "./byte-level/alphabet.js";

/** One step of a decoder: a token gives zero or more pieces; flush gives what was held back and starts afresh. */
export interface DecoderStage {
  push(token: string): string[];
  flush(): string[];
}

/** A function that makes a fresh stage for the `decoder` field of tokenizer.json, or null for a kind not known here. */
export function decoderFactory(config: unknown): (() => DecoderStage) | null {
  if (config === null || config === undefined) return () => new JoinStage();
  return stageFactory(config, false);
}

/** `fused`: an earlier Fuse step makes all pieces one string. */
function stageFactory(config: unknown, fused: boolean): (() => DecoderStage) | null {
  if (!isRecord(config)) return null;
  switch (config["type"]) {
    case "ByteLevel":
      return () => new ByteLevelStage();
    case "ByteFallback":
      return () => new ByteFallbackStage();
    case "Fuse":
      return () => perToken((token) => token);
    case "Replace":
      return replaceFactory(config);
    case "Strip":
      return stripFactory(config, fused);
    case "Metaspace":
      return metaspaceFactory(config);
    case "WordPiece":
      return wordPieceFactory(config);
    case "BPEDecoder":
      return () => new SuffixStage(text(config["suffix"], "</w>"));
    case "Sequence":
      return sequenceFactory(config["decoders"]);
    default:
      return null;
  }
}

function text(value: unknown, fallback: string): string {
  return typeof value === "string" ? value : fallback;
}

function count(value: unknown): number {
  return typeof value === "number" && value > 0 ? value : 0;
}

function perToken(change: (token: string, index: number) => string): DecoderStage {
  let index = 0;
  return {
    push: (token) => [change(token, index++)],
    flush: () => {
      index = 0;
      return [];
    },
  };
}

function sequenceFactory(configs: unknown): (() => DecoderStage) | null {
  if (!Array.isArray(configs)) return null;
  const factories: (() => DecoderStage)[] = [];
  let fused = false;
  for (const config of configs as unknown[]) {
    const factory = stageFactory(config, fused);
    if (factory === null) return null;
    factories.push(factory);
    fused ||= isRecord(config) && config["type"] === "Fuse";
  }
  return () => new SequenceStage(factories.map((factory) => factory()));
}

function replaceFactory(config: Record<string, unknown>): (() => DecoderStage) | null {
  const pattern = isRecord(config["pattern"]) ? config["pattern"]["String"] : undefined;
  if (typeof pattern !== "string" || pattern === "") return null;
  const content = text(config["content"], "");
  return () => perToken((token) => token.replaceAll(pattern, () => content));
}

function stripFactory(config: Record<string, unknown>, fused: boolean): () => DecoderStage {
  const content = text(config["content"], " ");
  const [start, stop] = [count(config["start"]), count(config["stop"])];
  if (fused) return () => new FusedStripStage(content, start, stop);
  return () => perToken((token) => stripEnd(stripStart(token, content, start), content, stop));
}

function metaspaceFactory(config: Record<string, unknown>): () => DecoderStage {
  const replacement = text(config["replacement"], "\u2581");
  const prepends = config["prepend_scheme"] !== "never" && config["add_prefix_space"] !== false;
  return () => perToken((token, index) => token.replaceAll(replacement, index === 0 && prepends ? "" : " "));
}

function wordPieceFactory(config: Record<string, unknown>): () => DecoderStage {
  const prefix = text(config["prefix"], "##");
  const cleanup = config["cleanup"] !== false;
  return () =>
    perToken((token, index) => {
      const joined = index === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
      return cleanup ? cleanUp(joined) : joined;
    });
}

/** The Rust tokenizers' WordPiece clean-up. */
function cleanUp(token: string): string {
  return token
    .replaceAll(" .", ".")
    .replaceAll(" ?", "?")
    .replaceAll(" !", "!")
    .replaceAll(" ,", ",")
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(" do not", " don't")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}

function stripStart(token: string, content: string, limit: number): string {
  let cut = 0;
  while (cut < limit && token[cut] === content) cut++;
  return token.slice(cut);
}

function stripEnd(token: string, content: string, limit: number): string {
  let cut = 0;
  while (cut < limit && token[token.length - 1 - cut] === content) cut++;
  return token.slice(0, token.length - cut);
}

/** Runs stages one after another. */
class SequenceStage implements DecoderStage {
  constructor(private readonly stages: readonly DecoderStage[]) {}

  push(token: string): string[] {
    return this.#through([token], 0);
  }

  flush(): string[] {
    let pieces: string[] = [];
    this.stages.forEach((stage, index) => {
      pieces.push(...this.#through(stage.flush(), index + 1));
      // What this stage released has gone through the later ones; those are flushed after it.
    });
    pieces = pieces.filter((piece) => piece !== "");
    return pieces;
  }

  #through(tokens: string[], from: number): string[] {
    let current = tokens;
    for (const stage of this.stages.slice(from)) current = current.flatMap((token) => stage.push(token));
    return current;
  }
}

/** No decoder: tokens with spaces between. */
class JoinStage implements DecoderStage {
  #first = true;

  push(token: string): string[] {
    const piece = this.#first ? token : ` ${token}`;
    this.#first = false;
    return [piece];
  }

  flush(): string[] {
    this.#first = true;
    return [];
  }
}

const utf8 = new TextEncoder();

function byteLevelBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = byteOfCharacter.get(character);
    if (byte === undefined) return utf8.encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

class ByteLevelStage implements DecoderStage {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  push(token: string): string[] {
    return [this.#decoder.decode(byteLevelBytes(token), { stream: true })];
  }

  flush(): string[] {
    return [this.#decoder.decode()];
  }
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Tokens `<0xE2>` are bytes. A run of them is one string if it is valid UTF-8 and one replacement character a byte if
 * not, so it is held until another token ends it.
 */
class ByteFallbackStage implements DecoderStage {
  #run: number[] = [];

  push(token: string): string[] {
    if (/^<0x[0-9A-Fa-f]{2}>$/.test(token)) {
      this.#run.push(Number.parseInt(token.slice(3, 5), 16));
      return [];
    }
    return [...this.flush(), token];
  }

  flush(): string[] {
    if (this.#run.length === 0) return [];
    const run = this.#run;
    this.#run = [];
    try {
      return [strictDecoder.decode(Uint8Array.from(run))];
    } catch {
      return ["\ufffd".repeat(run.length)];
    }
  }
}

/** Strips the ends of the whole text: the start once, the end by holding it back. */
class FusedStripStage implements DecoderStage {
  #toStrip: number;
  #held = "";

  constructor(
    private readonly content: string,
    private readonly start: number,
    private readonly stop: number,
  ) {
    this.#toStrip = start;
  }

  push(token: string): string[] {
    let piece = token;
    if (this.#toStrip > 0 && piece !== "") {
      const stripped = stripStart(piece, this.content, this.#toStrip);
      this.#toStrip = stripped === "" ? this.#toStrip - piece.length : 0;
      piece = stripped;
    }
    piece = this.#held + piece;
    const ready = stripEnd(piece, this.content, this.stop);
    this.#held = piece.slice(ready.length);
    return [ready];
  }

  flush(): string[] {
    this.#toStrip = this.start;
    this.#held = "";
    return [];
  }
}

/** The end-of-word suffix is a space, except after the last token. */
class SuffixStage implements DecoderStage {
  #held: string | null = null;

  constructor(private readonly suffix: string) {}

  push(token: string): string[] {
    const previous = this.#held;
    this.#held = token;
    return previous === null ? [] : [previous.replaceAll(this.suffix, " ")];
  }

  flush(): string[] {
    const last = this.#held;
    this.#held = null;
    return last === null ? [] : [last.replaceAll(this.suffix, "")];
  }
}
