// SPDX-License-Identifier: Apache-2.0
/**
 * Tokenizer files of model and engine directories: finding, loading and writing them.
 */
import { access, copyFile, cp, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { GgufEntry } from "../checkpoint/gguf-types.js";
import type { Checkpoint, TokenizerFiles } from "../checkpoint/types.js";
import type { TokenizerSource } from "./messages.js";
import { loadTokenizer, type Tokenizer } from "./tokenizer.js";
import type { ToGgufOptions } from "./to-gguf.js";
import { TokenizerClient } from "./worker-client.js";

/** What is known of an opened checkpoint's tokenizer. */
export type TokenizerFilesSource = Pick<Checkpoint, "tokenizerFiles">;

/** The tokenizer of a directory, or null when it has no tokenizer.json. */
export async function tokenizerFromFiles(directory: string): Promise<Tokenizer | null> {
  return (await isThere(join(directory, "tokenizer.json"))) ? loadTokenizer({ directory }) : null;
}

/** The tokenizer of an opened checkpoint, or null when it has none. */
export async function tokenizerFromCheckpoint({ tokenizerFiles }: TokenizerFilesSource): Promise<Tokenizer | null> {
  const { gguf, tokenizerJson } = tokenizerFiles;
  if (tokenizerJson !== undefined) return loadTokenizer({ directory: dirname(tokenizerJson) });
  return hasGgufTokenizer(gguf) ? loadTokenizer({ gguf }) : null;
}

/**
 * Writes the Hugging Face tokenizer files of a checkpoint into a directory, as far as it has any: tokenizer.json,
 * tokenizer_config.json, generation_config.json, chat templates and what else lay beside them.
 */
export async function writeTokenizerFiles({ tokenizerFiles }: TokenizerFilesSource, directory: string): Promise<void> {
  const { gguf, tokenizerJson, tokenizerConfig, generationConfig, chatTemplate, others = [] } = tokenizerFiles;
  if (tokenizerJson === undefined && hasGgufTokenizer(gguf)) return writeFromGguf(gguf, directory);
  const write = async (name: string, value: object | undefined): Promise<void> => {
    if (value !== undefined) await writeFile(join(directory, name), `${JSON.stringify(value, null, 2)}\n`);
  };
  await write("tokenizer_config.json", tokenizerConfig);
  await write("generation_config.json", generationConfig);
  if (chatTemplate !== undefined) await writeFile(join(directory, "chat_template.jinja"), chatTemplate);
  const copies = tokenizerJson === undefined ? others : [tokenizerJson, ...others];
  for (const path of copies) await copyFile(path, join(directory, basename(path)));
  const more = tokenizerJson === undefined ? null : join(dirname(tokenizerJson), "additional_chat_templates");
  if (more !== null && (await isThere(more))) await cp(more, join(directory, basename(more)), { recursive: true });
}

/**
 * Identifies what decides a tokenizer's ids, "sha256:...": vocabulary, merges, normalizer, pre-tokenizer and added
 * tokens, however the file spells them.
 */
export async function tokenizerFingerprint(source: TokenizerSource): Promise<string> {
  const client = new TokenizerClient();
  try {
    return await client.call("fingerprint", { source });
  } finally {
    await client.close();
  }
}

/** The tokenizer.* keys of a GGUF file, from Hugging Face files. */
export async function tokenizerToGguf(directory: string, options: ToGgufOptions): Promise<GgufEntry[]> {
  const client = new TokenizerClient();
  try {
    return await client.call("toGguf", { source: { directory }, options });
  } finally {
    await client.close();
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function hasGgufTokenizer(gguf: TokenizerFiles["gguf"]): gguf is NonNullable<TokenizerFiles["gguf"]> {
  // "none": the file says that it has no vocabulary.
  return gguf !== undefined && (gguf["tokenizer.ggml.model"] ?? "none") !== "none";
}

/** In a worker: building and printing a large vocabulary takes a good part of a second. */
async function writeFromGguf(gguf: NonNullable<TokenizerFiles["gguf"]>, directory: string): Promise<void> {
  const client = new TokenizerClient();
  try {
    await client.call("write", { gguf, directory });
  } finally {
    await client.close();
  }
}
