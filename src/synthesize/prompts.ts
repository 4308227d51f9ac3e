// SPDX-License-Identifier: Apache-2.0
/**
 * What texts begin with: lines of a file, or nothing.
 */
import { readFile, stat } from "node:fs/promises";
import type { Engine } from "../engine/index.js";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import type { ChatMessage } from "../tokenizer/index.js";
import type { ResolvedSynthesizeOptions } from "./config.js";

/** A text to go on with, messages to answer, or null: from nothing. */
export type Prompt = { text: string } | { messages: ChatMessage[] } | null;

export interface Prompts {
  list: readonly Prompt[];
  /** The file's bytes. */
  contents: string;
}

/** ERR_FILE_READ, ERR_DATA_INPUT with file and line, ERR_DATA_EMPTY. */
export async function readPrompts({ prompts, seeds, format }: ResolvedSynthesizeOptions): Promise<Prompts> {
  const path = prompts ?? seeds;
  if (path === undefined) return { list: [null], contents: "" };
  const contents = await readWhole(path).catch((cause: Error) => {
    throw new EspalierError("ERR_FILE_READ", `${path}: ${cause.message}`, { cause });
  });
  const list: Prompt[] = [];
  for (const [index, line] of contents
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .entries()) {
    if (line.trim() === "") continue;
    const where = `${path}:${index + 1}`;
    list.push(prompts === undefined ? begin(line.trim(), format) : parseLine(line, where, format));
  }
  if (list.length > 0) return { list, contents };
  throw new EspalierError(
    "ERR_DATA_EMPTY",
    `${path}: expected a ${prompts === undefined ? "seed" : "prompt"}, found none`,
  );
}

const MAX_BYTES = 1 << 28;

async function readWhole(path: string): Promise<string> {
  const info = await stat(path);
  if (!info.isFile()) throw new Error("expected a file");
  if (info.size > MAX_BYTES) throw new Error(`expected at most ${MAX_BYTES} bytes, found ${info.size}`);
  return readFile(path, "utf8");
}

function begin(text: string, format: ResolvedSynthesizeOptions["format"]): Prompt {
  return format === "text" ? { text } : { messages: [{ role: "user", content: text }] };
}

function parseLine(line: string, where: string, format: ResolvedSynthesizeOptions["format"]): Prompt {
  const bad = (what: string): never => {
    throw new EspalierError("ERR_DATA_INPUT", `${where}: ${what}`);
  };
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return bad(`not JSON: ${(error as Error).message}`);
  }
  if (!isRecord(value)) return bad('expected an object with "prompt", "text" or "messages"');
  const text = value["prompt"] ?? value["text"];
  if (typeof text === "string" && text.trim() !== "") return begin(text, format);
  const { messages } = value;
  if (!Array.isArray(messages)) return bad('expected text in "prompt" or "text", or "messages"');
  if (format === "text") return bad("messages: expected format sft, found text");
  for (const message of messages)
    if (!isRecord(message) || typeof message["role"] !== "string" || typeof message["content"] !== "string")
      return bad("messages: expected a role and content, two texts, in each");
  if (messages.at(-1)?.role !== "user") return bad("messages: expected the user to speak last");
  return { messages: messages as ChatMessage[] };
}

/** Ids of a prompt. ERR_TOKENIZER_MISSING, ERR_CHAT_TEMPLATE. */
export async function encodePrompt(engine: Engine, prompt: Prompt): Promise<Int32Array> {
  if (prompt === null) return Int32Array.of(firstToken(engine));
  const tokenizer = engine.tokenizer!;
  return "text" in prompt
    ? tokenizer.encode(prompt.text)
    : tokenizer.encodeChat(prompt.messages, { addGenerationPrompt: true });
}

/** What stands before a text: the beginning of a sequence, or else the end of one. */
function firstToken({ spec, directory }: Engine): number {
  const id = spec.bosTokenId ?? spec.eosTokenIds[0];
  if (id !== undefined) return id;
  throw new EspalierError(
    "ERR_ARGUMENT",
    `synthesize: ${directory}: the model has no token that begins or ends a text; expected seeds or prompts`,
  );
}
