// SPDX-License-Identifier: Apache-2.0
/**
 * The worker thread of one tokenizer: takes requests in order, answers each once.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../errors.js";
import { TokenizerCore } from "./core.js";
import { serve, type Handlers } from "../workers/serve.js";
import { fingerprintOf } from "./fingerprint.js";
import { tokenizerFilesFromGguf } from "./from-gguf.js";
import type { GgufMetadata, Operations } from "./messages.js";
import { readSource } from "./read-source.js";
import { ggufTokenizer } from "./to-gguf.js";

let core: TokenizerCore | null = null;

function loaded(): TokenizerCore {
  if (core === null) throw new EspalierError("ERR_INTERNAL", "the tokenizer is not loaded");
  return core;
}

const handlers: Handlers<Operations> = {
  load: async ({ source }) => {
    core = new TokenizerCore(await readSource(source));
    return core.info;
  },
  write: ({ gguf, directory }) => writeGgufFiles(gguf, directory),
  toGguf: async ({ source, options }) => ggufTokenizer(await readSource(source), options),
  encode: ({ texts, addSpecialTokens }) => texts.map((text) => loaded().encode(text, addSpecialTokens)),
  decode: ({ ids, skipSpecialTokens }) => loaded().decode(ids, skipSpecialTokens),
  push: ({ stream, ids, skipSpecialTokens }) => loaded().push(stream, ids, skipSpecialTokens),
  flush: ({ stream }) => loaded().flush(stream),
  render: ({ messages, options }) => loaded().render(messages, options),
  // The template has put the beginning-of-sequence token where it wants it.
  encodeChat: ({ messages, options }) => loaded().encode(loaded().render(messages, options), false),
  idToToken: ({ id }) => loaded().idToToken(id),
  tokenToId: ({ token }) => loaded().tokenToId(token),
  fingerprint: async ({ source }) => fingerprintOf(await readSource(source)),
};

async function writeGgufFiles(gguf: GgufMetadata, directory: string): Promise<void> {
  const { tokenizerJson, tokenizerConfig, generationConfig } = tokenizerFilesFromGguf(gguf);
  const write = (name: string, value: object): Promise<void> =>
    writeFile(join(directory, name), `${JSON.stringify(value, null, 2)}\n`);
  await write("tokenizer.json", tokenizerJson);
  await write("tokenizer_config.json", tokenizerConfig);
  if (generationConfig !== null) await write("generation_config.json", generationConfig);
}

serve<Operations>("tokenizer", handlers);
