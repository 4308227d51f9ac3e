// SPDX-License-Identifier: Apache-2.0
/**
 * Threads that tokenize. Each call goes to the one with the least to do.
 */
import type { TokenizerSource } from "../../tokenizer/index.js";
import { WorkerClient } from "../../workers/client.js";
import type { Chunk, EncodedChunk, EncodeOptions, LoadedTokenizer, TokenizeOperations } from "./messages.js";

export class TokenizingThreads {
  readonly #threads: { client: WorkerClient<TokenizeOperations>; calls: number }[];

  constructor(count: number) {
    const file = new URL("./worker.js", import.meta.url);
    this.#threads = Array.from({ length: count }, () => ({
      client: new WorkerClient<TokenizeOperations>(file, "tokenizing thread"),
      calls: 0,
    }));
  }

  async load(source: TokenizerSource, eodToken: string | null): Promise<LoadedTokenizer> {
    const loaded = await Promise.all(this.#threads.map(({ client }) => client.call("load", { source, eodToken })));
    return loaded[0]!;
  }

  async prepare(options: EncodeOptions): Promise<void> {
    await Promise.all(this.#threads.map(({ client }) => client.call("prepare", options)));
  }

  async parquetGroups(path: string, column: string): Promise<number[]> {
    return (await this.#threads[0]!.client.call("rows", { path, column })).groups;
  }

  async encode(chunk: Chunk): Promise<EncodedChunk> {
    const thread = this.#threads.reduce((least, other) => (other.calls < least.calls ? other : least));
    thread.calls += 1;
    try {
      const transfer = "bytes" in chunk ? [chunk.bytes.buffer] : [];
      return await thread.client.call("encode", chunk, { transfer });
    } finally {
      thread.calls -= 1;
    }
  }

  /** Without waiting for calls in flight. */
  end(): void {
    for (const { client } of this.#threads) client.abandon();
  }
}
