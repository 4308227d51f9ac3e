// SPDX-License-Identifier: Apache-2.0
/**
 * One line of conversations becomes token ids, of which only what the assistant said is learned. Runs in the worker.
 */
import { EspalierError } from "../../errors.js";
import { isRecord } from "../../json.js";
import type { TokenizerCore } from "../../tokenizer/core.js";
import type { ChatMessage, ChatTemplateOptions } from "../../tokenizer/index.js";

/** A stretch of a rendered conversation. */
interface Segment {
  text: string;
  learned: boolean;
}

export interface EncodedConversation {
  tokens: Int32Array;
  /** [tokens] 1: the assistant's. */
  learned: Uint8Array;
}

/** Of {"messages": [{role, content}, ...], "tools"?} or {"prompt", "completion"}, two texts or two lists of messages. */
export function encodeConversation(core: TokenizerCore, value: unknown): EncodedConversation {
  if (!isRecord(value)) throw badConversation(`expected an object, found ${typeof value}`);
  const { messages, prompt, completion } = value;
  if (Array.isArray(messages)) return encodeSegments(core, segmentsOf(core, messages, 0, value["tools"]));
  if (Array.isArray(prompt) && Array.isArray(completion))
    return encodeSegments(core, segmentsOf(core, [...prompt, ...completion], prompt.length, value["tools"]));
  if (typeof prompt === "string" && typeof completion === "string")
    return encodeSegments(
      core,
      [
        { text: prompt, learned: false },
        { text: completion, learned: true },
      ],
      core.info.addsBos ? core.info.bosTokenId : null,
    );
  throw badConversation('expected "messages", or "prompt" and "completion"');
}

function badConversation(what: string): EspalierError {
  return new EspalierError("ERR_DATA_CHAT", what);
}

/** Answers from message `first` on are learned. */
function segmentsOf(core: TokenizerCore, messages: unknown[], first: number, tools: unknown): Segment[] {
  const chat = messages.map(checkMessage);
  const turns = [...chat.keys()].filter((i) => i >= first && chat[i]!.role === "assistant");
  if (turns.length === 0) throw badConversation("messages: expected an assistant's answer, found none");
  const options: ChatTemplateOptions = Array.isArray(tools) ? { tools: tools as object[] } : {};
  const render = renderer(core, chat, options);
  const whole = render(chat.length, false);
  // Some templates write earlier answers otherwise than the last one; then only that one is learned.
  const segments = cut(whole, turns, render) ?? cut(whole, turns.slice(-1), render);
  if (segments !== null) return segments;
  throw badConversation("the chat template does not begin a conversation as it prompts for the answer");
}

function checkMessage(message: unknown, i: number): ChatMessage {
  if (!isRecord(message) || typeof message["role"] !== "string")
    throw badConversation(`messages[${i}]: expected an object with a string "role"`);
  const { content, tool_calls: calls } = message;
  // A call of tools may come without words.
  if (typeof content !== "string" && !Array.isArray(content) && !Array.isArray(calls))
    throw badConversation(
      `messages[${i}]: expected a string "content", found ${content === null ? "null" : typeof content}`,
    );
  return message as ChatMessage;
}

type Render = (count: number, prompt: boolean) => string;

/** The first messages as text. A template that always prompts for an answer (Llama 3's first one) has that taken off. */
function renderer(core: TokenizerCore, chat: readonly ChatMessage[], options: ChatTemplateOptions): Render {
  const render: Render = (count, addGenerationPrompt) =>
    core.render(chat.slice(0, count), { ...options, addGenerationPrompt });
  if (render(chat.length, true) !== render(chat.length, false)) return render;
  const header = headerOf(render);
  return (count, prompt) => {
    const text = render(count, prompt);
    return prompt || header === "" || !text.endsWith(header) ? text : text.slice(0, -header.length);
  };
}

/** What such a template writes without messages; "" when it needs some. */
function headerOf(render: Render): string {
  try {
    return render(0, true);
  } catch (error) {
    if (error instanceof EspalierError) return "";
    throw error;
  }
}

/** `whole` at each turn's prompt and end; null when it does not begin with one of them. */
function cut(whole: string, turns: readonly number[], render: Render): Segment[] | null {
  const segments: Segment[] = [];
  let at = 0;
  for (const turn of turns) {
    const prompt = render(turn, true);
    const answered = render(turn + 1, false);
    if (!whole.startsWith(answered) || !answered.startsWith(prompt) || prompt.length < at) return null;
    segments.push({ text: whole.slice(at, prompt.length), learned: false });
    segments.push({ text: whole.slice(prompt.length, answered.length), learned: true });
    at = answered.length;
  }
  segments.push({ text: whole.slice(at), learned: false });
  return segments;
}

/** `bos` comes before the first segment. */
function encodeSegments(
  core: TokenizerCore,
  segments: readonly Segment[],
  bos: number | null = null,
): EncodedConversation {
  const { eosTokenIds } = core.info;
  const parts = encodeWhole(core, segments) ?? segments.map(({ text }) => core.encode(text, false));
  if (bos !== null) parts[0] = Int32Array.of(bos, ...parts[0]!);
  const ends = segments.at(-1)!.learned && !eosTokenIds.includes(parts.at(-1)!.at(-1) ?? -1);
  // A bare completion gets an end to learn; a template has brought its own.
  if (ends && eosTokenIds.length > 0) parts[parts.length - 1] = Int32Array.of(...parts.at(-1)!, eosTokenIds[0]!);
  const tokens = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  const learned = new Uint8Array(tokens.length);
  let at = 0;
  parts.forEach((part, i) => {
    tokens.set(part, at);
    if (segments[i]!.learned) learned.fill(1, at, at + learnedLength(part, eosTokenIds));
    at += part.length;
  });
  return { tokens, learned };
}

/**
 * The ids of the whole text, as transformers has them, cut where those of each beginning end: so a prompt has the ids it
 * has at inference. null when a token spans a cut; then each segment is encoded by itself.
 */
function encodeWhole(core: TokenizerCore, segments: readonly Segment[]): Int32Array[] | null {
  const text = segments.map((segment) => segment.text).join("");
  const whole = core.encode(text, false);
  const parts: Int32Array[] = [];
  let [characters, at] = [0, 0];
  for (const segment of segments.slice(0, -1)) {
    characters += segment.text.length;
    const beginning = core.encode(text.slice(0, characters), false);
    if (beginning.length < at || beginning.some((id, i) => whole[i] !== id)) return null;
    parts.push(whole.subarray(at, beginning.length));
    at = beginning.length;
  }
  return [...parts, whole.subarray(at)];
}

/** What a template writes after the end of an answer is nobody's to learn. */
function learnedLength(part: Int32Array, eosTokenIds: readonly number[]): number {
  const last = part.findLastIndex((id) => eosTokenIds.includes(id));
  return last === -1 ? part.length : last + 1;
}
