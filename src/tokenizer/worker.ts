// SPDX-License-Identifier: Apache-2.0
/**
 * The worker thread of one tokenizer: takes requests in order, answers each once.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parentPort } from "node:worker_threads";
import { EspalierError } from "../errors.js";
import { TokenizerCore } from "./core.js";
import type { Failure, GgufMetadata, OperationName, Operations, Request, Response } from "./messages.js";
import { tokenizerFilesFromGguf } from "./from-gguf.js";
import { readSource } from "./read-source.js";

let core: TokenizerCore | null = null;

function loaded(): TokenizerCore {
  if (core === null) throw new EspalierError("ERR_INTERNAL", "the tokenizer is not loaded");
  return core;
}

type Handlers = {
  [K in OperationName]: (input: Operations[K]["in"]) => Operations[K]["out"] | Promise<Operations[K]["out"]>;
};

const handlers: Handlers = {
  load: async ({ source }) => {
    core = new TokenizerCore(await readSource(source));
    return core.info;
  },
  write: ({ gguf, directory }) => writeGgufFiles(gguf, directory),
  encode: ({ texts, addSpecialTokens }) => texts.map((text) => loaded().encode(text, addSpecialTokens)),
  decode: ({ ids, skipSpecialTokens }) => loaded().decode(ids, skipSpecialTokens),
  push: ({ stream, ids, skipSpecialTokens }) => loaded().push(stream, ids, skipSpecialTokens),
  flush: ({ stream }) => loaded().flush(stream),
  render: ({ messages, options }) => loaded().render(messages, options),
  // The template has put the beginning-of-sequence token where it wants it.
  encodeChat: ({ messages, options }) => loaded().encode(loaded().render(messages, options), false),
  idToToken: ({ id }) => loaded().idToToken(id),
  tokenToId: ({ token }) => loaded().tokenToId(token),
};

async function writeGgufFiles(gguf: GgufMetadata, directory: string): Promise<void> {
  const { tokenizerJson, tokenizerConfig, generationConfig } = tokenizerFilesFromGguf(gguf);
  const write = (name: string, value: object): Promise<void> =>
    writeFile(join(directory, name), `${JSON.stringify(value, null, 2)}\n`);
  await write("tokenizer.json", tokenizerJson);
  await write("tokenizer_config.json", tokenizerConfig);
  if (generationConfig !== null) await write("generation_config.json", generationConfig);
}

function failureOf(error: unknown): Failure {
  if (error instanceof EspalierError) return { code: error.code, message: error.message, stack: error.stack };
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? error.stack : undefined;
  return { code: "ERR_INTERNAL", message: `tokenizer: ${message}`, stack };
}

async function answer(request: Request): Promise<Response> {
  try {
    const handle = handlers[request.op] as (input: Request["input"]) => unknown;
    return { call: request.call, value: await handle(request.input) };
  } catch (error) {
    return { call: request.call, failure: failureOf(error) };
  }
}

function buffersOf(value: unknown): ArrayBuffer[] {
  const arrays = Array.isArray(value) ? (value as unknown[]) : [value];
  return arrays.flatMap((item) => (item instanceof Int32Array ? [item.buffer as ArrayBuffer] : []));
}

let queue = Promise.resolve();

parentPort?.on("message", (request: Request) => {
  queue = queue.then(async () => {
    const response = await answer(request);
    parentPort?.postMessage(response, "value" in response ? buffersOf(response.value) : []);
  });
});
