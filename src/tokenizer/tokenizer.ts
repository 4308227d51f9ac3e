// SPDX-License-Identifier: Apache-2.0
/**
 * Tokenizers and chat templates off the event loop: each tokenizer lives in a worker thread of its own.
 */
import { EspalierError } from "../errors.js";
import type { ChatMessage, ChatTemplateOptions, TokenizerInfo, TokenizerSource } from "./messages.js";
import { TokenizerClient } from "./worker-client.js";

export interface EncodeOptions {
  /** Adds what the tokenizer's post-processor adds, as a beginning-of-sequence token. Default: true. */
  addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leaves special tokens out of the text. Default: true. */
  skipSpecialTokens?: boolean;
}

/** Text of ids that arrive bit by bit. What it has given never changes; all of it is what `decode` gives at once. */
export interface DecodeStream {
  /** The text that these ids make final; often "" in the middle of a character. */
  push(ids: number | ArrayLike<number>): Promise<string>;
  /** What was held back. The stream can be used again afterwards. */
  flush(): Promise<string>;
}

/** Ends the thread of a tokenizer that was dropped without dispose(). */
const abandoned = new FinalizationRegistry<TokenizerClient>((client) => client.abandon());

/** Frees the worker's half of a stream that was dropped without flush(). */
const abandonedStreams = new FinalizationRegistry<{ client: TokenizerClient; stream: number }>(({ client, stream }) => {
  client.call("flush", { stream }).catch(() => {});
});

/**
 * Loads a tokenizer in a worker thread. Rejects with ERR_TOKENIZER_MISSING, _MALFORMED or _UNSUPPORTED.
 *
 * @example
 * await using tokenizer = await loadTokenizer({ directory: "models/smollm2" });
 * const ids = await tokenizer.encode("Hello there");
 */
export async function loadTokenizer(source: TokenizerSource): Promise<Tokenizer> {
  const client = new TokenizerClient();
  try {
    return new Tokenizer(client, await client.call("load", { source }));
  } catch (error) {
    await client.close();
    throw error;
  }
}

export class Tokenizer implements AsyncDisposable {
  /** Highest token id + 1. A model may have more rows than that. */
  readonly vocabSize: number;
  readonly bosTokenId: number | null;
  readonly padTokenId: number | null;
  readonly unkTokenId: number | null;
  /** Ids that end a generation: the tokenizer's own first, then the generation config's. */
  readonly eosTokenIds: readonly number[];
  /** Whether encode() puts a beginning-of-sequence token first. */
  readonly addsBos: boolean;
  /** Text of the default chat template. */
  readonly chatTemplate: string | null;
  readonly #client: TokenizerClient;
  #nextStream = 0;

  /** @internal Use loadTokenizer. */
  constructor(client: TokenizerClient, info: TokenizerInfo) {
    this.#client = client;
    this.vocabSize = info.vocabSize;
    this.bosTokenId = info.bosTokenId;
    this.padTokenId = info.padTokenId;
    this.unkTokenId = info.unkTokenId;
    this.eosTokenIds = info.eosTokenIds;
    this.addsBos = info.addsBos;
    this.chatTemplate = info.chatTemplate;
    abandoned.register(this, client, this);
  }

  /** Token ids of a text. Special tokens written out in the text become their ids. */
  async encode(text: string, options: EncodeOptions = {}): Promise<Int32Array> {
    const [ids] = await this.encodeBatch([text], options);
    return ids as Int32Array;
  }

  async encodeBatch(texts: readonly string[], options: EncodeOptions = {}): Promise<Int32Array[]> {
    texts.forEach((text, index) => {
      if (typeof text !== "string")
        throw new EspalierError("ERR_ARGUMENT", `text ${index}: expected a string, found ${typeof text}`);
    });
    return this.#client.call("encode", { texts, addSpecialTokens: options.addSpecialTokens ?? true });
  }

  /** Text of token ids. Ids the vocabulary does not have give no text. */
  async decode(ids: ArrayLike<number>, options: DecodeOptions = {}): Promise<string> {
    return this.#client.call("decode", {
      ids: tokenIds(ids),
      skipSpecialTokens: options.skipSpecialTokens ?? true,
    });
  }

  /** @example for (const id of generated) process.stdout.write(await stream.push(id)); */
  createDecodeStream(options: DecodeOptions = {}): DecodeStream {
    const stream = this.#nextStream++;
    const skipSpecialTokens = options.skipSpecialTokens ?? true;
    const decodeStream: DecodeStream = {
      push: async (ids) => {
        const fresh = tokenIds(typeof ids === "number" ? [ids] : ids);
        return this.#client.call("push", { stream, ids: fresh, skipSpecialTokens });
      },
      flush: () => this.#client.call("flush", { stream }),
    };
    abandonedStreams.register(decodeStream, { client: this.#client, stream });
    return decodeStream;
  }

  /** Renders messages by the chat template. ERR_CHAT_TEMPLATE with the template's own complaint, or _MISSING. */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): Promise<string> {
    return this.#client.call("render", { messages, options });
  }

  /** Token ids of rendered messages; the template brings its own special tokens. */
  encodeChat(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): Promise<Int32Array> {
    return this.#client.call("encodeChat", { messages, options });
  }

  /** The vocabulary's spelling of a token, as "Ġthe". */
  idToToken(id: number): Promise<string | undefined> {
    return this.#client.call("idToToken", { id });
  }

  tokenToId(token: string): Promise<number | undefined> {
    return this.#client.call("tokenToId", { token });
  }

  /** Waits for calls in flight and ends the thread. May be called twice. */
  async dispose(): Promise<void> {
    abandoned.unregister(this);
    await this.#client.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

function tokenIds(ids: ArrayLike<number>): Int32Array {
  for (let index = 0; index < ids.length; index++) {
    const id = ids[index];
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > 0x7fffffff)
      throw new EspalierError("ERR_ARGUMENT", `ids[${index}]: expected a token id, found ${String(id)}`);
  }
  return Int32Array.from(ids);
}
