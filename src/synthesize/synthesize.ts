// SPDX-License-Identifier: Apache-2.0
/**
 * synthesize: a teacher writes what students learn from, filtered and without duplicates.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { throwIfAborted } from "../abort.js";
import type { Engine } from "../engine/index.js";
import { EspalierError } from "../errors.js";
import { makeDirectory, toWriteError } from "../files/atomic-directory.js";
import { withOwnLock } from "../files/lock.js";
import {
  boundOptions,
  resolveSynthesizeOptions,
  type ResolvedSynthesizeOptions,
  type SynthesizeOptions,
} from "./config.js";
import { Deduplicator } from "./dedupe.js";
import { dropReasonOf, dropReasons, type DropReason, type GeneratedText } from "./filter.js";
import { Journal, refuseExisting, type Entry } from "./journal.js";
import { encodePrompt, readPrompts, type Prompt, type Prompts } from "./prompts.js";

export type SynthesizeProgress =
  | { kind: "resumed"; kept: number; attempts: number }
  | { kind: "text"; kept: number; count: number; attempts: number; tokensPerSecond: number };

export interface SynthesizeHooks {
  signal?: AbortSignal;
  onProgress?: (progress: SynthesizeProgress) => void;
}

export interface SynthesizeReport {
  out: string;
  format: "text" | "sft";
  /** Lines of the file. */
  count: number;
  attempts: number;
  dropped: Record<DropReason, number>;
  /** Generated tokens of the lines, and of all attempts. */
  tokens: number;
  generatedTokens: number;
  /** Attempts that an earlier call had made. */
  resumedAttempts: number;
  seconds: number;
}

/**
 * Writes `count` lines to `out`: texts for `tokenize`, or conversations for `train --data`. Attempt i has a seed of its own, so
 * the same options give the same lines whatever the engine works on together, as far as its sums do not depend on that.
 * Stopped or killed, the same call goes on. ERR_SYNTHESIZE: too few pass; ERR_CHAT_TEMPLATE_MISSING, ERR_OUTPUT_EXISTS.
 *
 * @example
 * await using teacher = await Engine.load("teacher-int8", { maxSequences: 16 });
 * await synthesize(teacher, { count: 1000, maxTokens: 128, out: "written.jsonl" });
 */
export async function synthesize(
  engine: Engine,
  given: SynthesizeOptions,
  hooks: SynthesizeHooks = {},
): Promise<SynthesizeReport> {
  const started = performance.now();
  const options = resolveSynthesizeOptions(given);
  throwIfAborted(hooks.signal);
  checkTokenizer(engine, options);
  await refuseExisting(options.out);
  const prompts = await readPrompts(options);
  const signature = await signatureOf(engine, options, prompts);
  const place = resolve(options.out);
  await makeDirectory(dirname(place)).catch((error: unknown) => {
    throw toWriteError(error, options.out);
  });
  const busy = `${options.out}: another process writes it`;
  const lock = join(dirname(place), `.${basename(place)}.espalier-lock`);
  return withOwnLock(lock, { signal: hooks.signal, busy }, async () => {
    const journal = await Journal.open(options.out, signature);
    try {
      return await new Writer(engine, options, prompts.list, journal, hooks).run(started);
    } finally {
      await journal.close();
    }
  });
}

function checkTokenizer({ tokenizer, directory }: Engine, { format }: ResolvedSynthesizeOptions): void {
  if (tokenizer === null)
    throw new EspalierError(
      "ERR_TOKENIZER_MISSING",
      `${directory}: a model that writes text needs a tokenizer, found none`,
    );
  if (format === "sft" && tokenizer.chatTemplate === null)
    throw new EspalierError(
      "ERR_CHAT_TEMPLATE_MISSING",
      `${directory}: answers (sft) need a chat template, found none`,
    );
}

/** Of all that decides what an attempt gives. */
async function signatureOf(engine: Engine, options: ResolvedSynthesizeOptions, prompts: Prompts): Promise<string> {
  const manifest = await readFile(join(engine.directory, "engine.json"));
  return createHash("sha256")
    .update(manifest)
    .update(JSON.stringify([boundOptions(options), engine.contextTokens]))
    .update(prompts.contents)
    .digest("hex");
}

/** Numbers of a seed that attempts draw from. */
function seedOf(seed: number, attempt: number): number {
  return createHash("sha256").update(`${seed}:${attempt}`).digest().readUIntBE(0, 6);
}

class Writer {
  readonly #engine: Engine;
  readonly #options: ResolvedSynthesizeOptions;
  readonly #prompts: readonly Prompt[];
  readonly #journal: Journal;
  readonly #hooks: SynthesizeHooks;
  readonly #known: Deduplicator;
  readonly #lines: object[] = [];
  readonly #dropped = Object.fromEntries(dropReasons.map((reason) => [reason, 0])) as Record<DropReason, number>;
  #attempts = 0;
  #tokens = 0;
  #generatedTokens = 0;

  constructor(
    engine: Engine,
    options: ResolvedSynthesizeOptions,
    prompts: readonly Prompt[],
    journal: Journal,
    hooks: SynthesizeHooks,
  ) {
    this.#engine = engine;
    this.#options = options;
    this.#prompts = prompts;
    this.#journal = journal;
    this.#hooks = hooks;
    this.#known = new Deduplicator(options.maxSimilarity);
  }

  async run(started: number): Promise<SynthesizeReport> {
    const { out, format, count } = this.#options;
    const resumedAttempts = this.#replay();
    if (resumedAttempts > 0)
      this.#hooks.onProgress?.({ kind: "resumed", kept: this.#lines.length, attempts: resumedAttempts });
    await this.#write();
    await this.#journal.finish(this.#lines);
    return {
      out,
      format,
      count,
      attempts: this.#attempts,
      dropped: this.#dropped,
      tokens: this.#tokens,
      generatedTokens: this.#generatedTokens,
      resumedAttempts,
      seconds: (performance.now() - started) / 1000,
    };
  }

  /** Takes up what an earlier call did, as far as it is wanted. */
  #replay(): number {
    for (const entry of this.#journal.entries) {
      if (this.#isDone()) break;
      if ("line" in entry) this.#known.add(documentOf(entry.line));
      this.#count(entry);
    }
    return this.#attempts;
  }

  #isDone(): boolean {
    return this.#lines.length >= this.#options.count;
  }

  #count(entry: Entry): void {
    this.#attempts += 1;
    this.#generatedTokens += entry.tokens;
    if ("dropped" in entry) {
      this.#dropped[entry.dropped] += 1;
      return;
    }
    this.#lines.push(entry.line);
    this.#tokens += entry.tokens;
  }

  /** Attempts are judged in their order, whichever ends first. */
  async #write(): Promise<void> {
    const { count, maxAttempts, inFlight } = this.#options;
    const stop = new AbortController();
    const { signal: outer, onProgress } = this.#hooks;
    const signal = outer === undefined ? stop.signal : AbortSignal.any([outer, stop.signal]);
    const started = { at: performance.now(), tokens: this.#generatedTokens };
    const open: Promise<Attempt>[] = [];
    let next = this.#attempts;
    try {
      while (!this.#isDone()) {
        throwIfAborted(outer);
        for (; open.length < inFlight && next < maxAttempts; ++next) {
          const attempt = this.#attempt(next, signal);
          attempt.catch(() => {}); // told when its turn comes
          open.push(attempt);
        }
        const first = open.shift();
        if (first === undefined) throw this.#tooFew();
        await this.#judge(await first);
        const seconds = (performance.now() - started.at) / 1000;
        const tokensPerSecond = Math.round((this.#generatedTokens - started.tokens) / seconds);
        onProgress?.({ kind: "text", kept: this.#lines.length, count, attempts: this.#attempts, tokensPerSecond });
      }
    } catch (error) {
      throwIfAborted(outer);
      throw error;
    } finally {
      stop.abort();
      await Promise.allSettled(open);
    }
  }

  async #attempt(index: number, signal: AbortSignal): Promise<Attempt> {
    const { maxTokens, temperature, topP, topK, seed } = this.#options;
    const prompt = this.#prompts[index % this.#prompts.length]!;
    const ids = await encodePrompt(this.#engine, prompt);
    if (ids.length >= this.#engine.contextTokens) return { prompt, promptIds: ids, generated: null };
    const sampling = { temperature, topP, topK, minP: 0, repetitionPenalty: 1, seed: seedOf(seed, index) };
    const result = await this.#engine.generate({ ids, maxTokens, ...sampling, signal }).result();
    const logprobs = result.tokens.reduce((sum, { logprob }) => sum + logprob, 0);
    const generated = {
      text: result.text,
      ids: result.ids,
      finished: result.finishReason === "stop",
      meanLogprob: logprobs / Math.max(1, result.tokens.length),
    };
    return { prompt, promptIds: ids, generated };
  }

  async #judge({ prompt, promptIds, generated }: Attempt): Promise<void> {
    const tokens = generated?.ids.length ?? 0;
    const keep = async (entry: Entry): Promise<void> => {
      await this.#journal.append(entry);
      this.#count(entry);
    };
    if (generated === null) return keep({ dropped: "prompt", tokens });
    const whole = { ...generated, text: withoutTornEnd(generated) };
    const dropped = dropReasonOf(whole, this.#options);
    if (dropped !== null) return keep({ dropped, tokens });
    const line = await this.#lineOf(prompt, promptIds, whole);
    const known = this.#known.add(documentOf(line));
    return keep(known === null ? { line, tokens } : { dropped: known, tokens });
  }

  async #lineOf(prompt: Prompt, promptIds: Int32Array, { text, ids }: GeneratedText): Promise<object> {
    if (prompt !== null && "messages" in prompt)
      return { messages: [...prompt.messages, { role: "assistant", content: text.trim() }] };
    if (prompt === null) return { text: text.trimStart() };
    // Decoded together: a tokenizer may take the space between the two for its own.
    const together = await this.#engine.tokenizer!.decode([...promptIds, ...ids]);
    return { text: together.replace(TORN_END, "") };
  }

  #tooFew(): EspalierError {
    const { count, out } = this.#options;
    const reasons = dropReasons.filter((reason) => this.#dropped[reason] > 0);
    const told =
      reasons.length === 0 ? "none" : reasons.map((reason) => `${reason} ${this.#dropped[reason]}`).join(", ");
    return new EspalierError(
      "ERR_SYNTHESIZE",
      `${out}: expected ${count} texts, ${this.#lines.length} of ${this.#attempts} passed; dropped: ${told}`,
    );
  }
}

interface Attempt {
  prompt: Prompt;
  promptIds: Int32Array;
  /** null: the prompt leaves no room for an answer. */
  generated: GeneratedText | null;
}

const TORN_END = /\ufffd+$/;

/** Where `maxTokens` fell into the middle of a character, its first bytes are left out. */
function withoutTornEnd({ text, finished }: GeneratedText): string {
  return finished ? text : text.replace(TORN_END, "");
}

/** What duplicates are looked for in. */
function documentOf(line: object): string {
  const { text, messages } = line as { text?: string; messages?: { content: string }[] };
  return text ?? (messages ?? []).map(({ content }) => content).join("\n");
}
