// SPDX-License-Identifier: Apache-2.0
/**
 * Chat templates: Jinja as Hugging Face models carry it. Runs in the worker.
 */
import { Template } from "@huggingface/jinja";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import type { ChatMessage, ChatTemplateOptions } from "./messages.js";

/** Template text by name; the one without a name is "default". */
export type NamedTemplates = ReadonlyMap<string, string>;

/** The `chat_template` of tokenizer_config.json: a string, or an array of {name, template}. */
export function parseChatTemplates(field: unknown, where: string): Map<string, string> {
  const templates = new Map<string, string>();
  if (field === undefined || field === null) return templates;
  if (typeof field === "string") return templates.set("default", field);
  if (!Array.isArray(field)) throw malformed(where, "chat_template");
  for (const entry of field as unknown[]) {
    const { name, template } = isRecord(entry) ? entry : {};
    if (typeof name !== "string" || typeof template !== "string") throw malformed(where, "chat_template[]");
    templates.set(name, template);
  }
  return templates;
}

function malformed(where: string, field: string): EspalierError {
  return new EspalierError(
    "ERR_TOKENIZER_MALFORMED",
    `${where}: ${field}: expected a string or an array of {name, template}`,
  );
}

export class ChatRenderer {
  readonly #templates: NamedTemplates;
  /** Variables every template sees: bos_token, eos_token and so on. */
  readonly #specialTokens: Readonly<Record<string, string>>;
  readonly #parsed = new Map<string, Template>();

  constructor(templates: NamedTemplates, specialTokens: Readonly<Record<string, string>>) {
    this.#templates = templates;
    this.#specialTokens = specialTokens;
  }

  render(messages: readonly ChatMessage[], options: ChatTemplateOptions): string {
    checkMessages(messages);
    const template = this.#template(this.#select(options));
    const variables = {
      ...this.#specialTokens,
      ...options.variables,
      messages,
      // Templates ask `tools is not none`, which an undefined variable would pass.
      tools: options.tools ?? null,
      documents: options.documents ?? null,
      add_generation_prompt: options.addGenerationPrompt ?? true,
    };
    try {
      return template.render(variables);
    } catch (error) {
      throw templateError(error);
    }
  }

  #select(options: ChatTemplateOptions): string {
    const usesTools = options.tools !== undefined && options.tools.length > 0;
    const wanted = options.templateName ?? (usesTools && this.#templates.has("tool_use") ? "tool_use" : "default");
    if (this.#templates.has(wanted)) return wanted;
    const names = [...this.#templates.keys()];
    const message =
      names.length === 0
        ? "the tokenizer has no chat template"
        : `there is no chat template "${wanted}"; there is ${names.map((name) => `"${name}"`).join(", ")}`;
    throw new EspalierError("ERR_CHAT_TEMPLATE_MISSING", message);
  }

  #template(name: string): Template {
    const known = this.#parsed.get(name);
    if (known !== undefined) return known;
    try {
      const template = new Template(this.#templates.get(name) ?? "");
      this.#parsed.set(name, template);
      return template;
    } catch (error) {
      throw templateError(error);
    }
  }
}

/** Also what the template's own raise_exception said. */
function templateError(error: unknown): EspalierError {
  const message = error instanceof Error ? error.message : String(error);
  return new EspalierError("ERR_CHAT_TEMPLATE", `chat template: ${message}`, { cause: error });
}

function checkMessages(messages: unknown): asserts messages is ChatMessage[] {
  if (!Array.isArray(messages))
    throw new EspalierError("ERR_ARGUMENT", `messages: expected an array, found ${typeof messages}`);
  messages.forEach((message: unknown, index) => {
    if (!isRecord(message) || typeof message["role"] !== "string")
      throw new EspalierError("ERR_ARGUMENT", `messages[${index}]: expected an object with a string "role"`);
  });
}
