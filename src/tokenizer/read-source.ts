// SPDX-License-Identifier: Apache-2.0
/**
 * Brings a tokenizer's source, whatever it is, into one form. Runs in the worker.
 */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import { parseChatTemplates } from "./chat-template.js";
import { tokenizerFilesFromGguf } from "./from-gguf.js";
import type { TokenizerSource } from "./messages.js";

export interface TokenizerParts {
  tokenizerJson: unknown;
  tokenizerConfig: Record<string, unknown>;
  /** `eos_token_id` of generation_config.json, or of config.json where there is none. */
  generationEos: unknown;
  templates: Map<string, string>;
  /** Name of the source in errors. */
  where: string;
}

export async function readSource(source: TokenizerSource): Promise<TokenizerParts> {
  if ("directory" in source) return readDirectory(source.directory);
  if ("gguf" in source) {
    const { tokenizerJson, tokenizerConfig, generationConfig } = tokenizerFilesFromGguf(source.gguf);
    return combine({ tokenizerJson, tokenizerConfig, generationConfig, where: "the GGUF metadata" });
  }
  const { tokenizerJson, tokenizerConfig, generationConfig, chatTemplate } = source;
  return combine({
    tokenizerJson: await objectOrFile(tokenizerJson),
    tokenizerConfig: await objectOrFile(tokenizerConfig),
    generationConfig: await objectOrFile(generationConfig),
    chatTemplate,
    where: typeof tokenizerJson === "string" ? tokenizerJson : "tokenizerJson",
  });
}

interface Combined {
  tokenizerJson: unknown;
  tokenizerConfig?: unknown;
  generationConfig?: unknown;
  config?: unknown;
  chatTemplate?: string | undefined;
  where: string;
}

function combine(parts: Combined): TokenizerParts {
  const { tokenizerJson, tokenizerConfig = {}, generationConfig, config, chatTemplate, where } = parts;
  if (!isRecord(tokenizerConfig))
    throw new EspalierError("ERR_TOKENIZER_MALFORMED", `${where}: the tokenizer's configuration is not an object`);
  const templates = parseChatTemplates(tokenizerConfig["chat_template"], where);
  if (chatTemplate !== undefined) templates.set("default", chatTemplate);
  const generationEos = isRecord(generationConfig) ? generationConfig["eos_token_id"] : undefined;
  return {
    tokenizerJson,
    tokenizerConfig,
    generationEos: generationEos ?? (isRecord(config) ? config["eos_token_id"] : undefined),
    templates,
    where,
  };
}

async function readDirectory(directory: string): Promise<TokenizerParts> {
  const file = (name: string): string => join(directory, name);
  const tokenizerJson = await readJson(file("tokenizer.json"));
  if (tokenizerJson === undefined) throw await missing(directory);
  const parts = combine({
    tokenizerJson,
    tokenizerConfig: {
      ...((await readJson(file("special_tokens_map.json"))) as object | undefined),
      ...((await readJson(file("tokenizer_config.json"))) as object | undefined),
    },
    generationConfig: await readJson(file("generation_config.json")),
    config: await readJson(file("config.json")),
    chatTemplate: await readText(file("chat_template.jinja")),
    where: file("tokenizer.json"),
  });
  const more = await readdir(file("additional_chat_templates")).catch(() => []);
  for (const name of more.filter((entry) => entry.endsWith(".jinja"))) {
    const text = await readText(join(directory, "additional_chat_templates", name));
    if (text !== undefined) parts.templates.set(basename(name, ".jinja"), text);
  }
  return parts;
}

async function missing(directory: string): Promise<EspalierError> {
  const names = await readdir(directory).catch(() => null);
  if (names === null) return new EspalierError("ERR_TOKENIZER_MISSING", `${directory}: the directory cannot be read`);
  const others = names.filter((name) => ["tokenizer.model", "vocab.json", "vocab.txt", "spiece.model"].includes(name));
  const found = others.length === 0 ? "" : `; ${others.join(" and ")} alone cannot be read: save it with transformers`;
  return new EspalierError("ERR_TOKENIZER_MISSING", `${directory}: no tokenizer.json${found}`);
}

async function objectOrFile(value: object | string | undefined): Promise<unknown> {
  if (typeof value !== "string") return value;
  const json = await readJson(value);
  if (json === undefined) throw new EspalierError("ERR_TOKENIZER_MISSING", `${value}: no such file`);
  return json;
}

/** undefined when there is no such file. */
async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new EspalierError("ERR_TOKENIZER_MISSING", `${path}: ${(error as Error).message}`, { cause: error });
  }
}

async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new EspalierError("ERR_TOKENIZER_MALFORMED", `${path}: not JSON: ${(error as Error).message}`);
  }
}
