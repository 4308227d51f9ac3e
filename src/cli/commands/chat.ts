/** espalier chat: a conversation on the terminal. */
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { EspalierError } from "../../errors.js";
import type { Session } from "../../engine/index.js";
import { addEngineOptions, openEngine, type EngineCliOptions } from "../open-engine.js";
import { action, type CommandContext } from "../run-command.js";
import { addSamplingOptions, samplingOptions, type SamplingCliOptions } from "./generate.js";

interface Options extends EngineCliOptions, SamplingCliOptions {
  system?: string;
}

export function register(program: Command): void {
  const command = program
    .command("chat")
    .description("talk with a model; an empty line or Ctrl-D ends (lines may also come through a pipe)")
    .argument("<model>", "engine directory, model directory or GGUF file")
    .option("--system <text>", "system message");
  addSamplingOptions(addEngineOptions(command));
  command.addHelpText("after", "\nExample:\n  espalier chat smollm2-int8 --system 'Answer briefly.'");
  action(command, async (context, model: string, options: Options) => {
    await using engine = await openEngine(model, options, context);
    if (engine.tokenizer === null || engine.tokenizer.chatTemplate === null)
      throw new EspalierError(
        "ERR_CHAT_TEMPLATE_MISSING",
        `${model}: expected a tokenizer with a chat template, found none`,
      );
    using session = engine.createSession(options.system === undefined ? {} : { system: options.system });
    await converse(session, options, context);
    return { json: { messages: session.messages }, text: "" };
  });
}

async function converse(session: Session, options: Options, context: CommandContext): Promise<void> {
  const lines = createInterface({
    input: process.stdin,
    output: process.stdin.isTTY ? process.stderr : undefined,
    terminal: process.stdin.isTTY,
  });
  const stop = (): void => lines.close();
  context.signal.addEventListener("abort", stop, { once: true });
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const ask = (): void => {
    lines.setPrompt("> ");
    if (process.stdin.isTTY) lines.prompt();
  };
  ask();
  for await (const line of lines) {
    if (line.trim() === "") break;
    const answer = session.chat(line, samplingOptions(options, context.signal));
    for await (const { text } of answer) if (!context.json) process.stdout.write(text);
    if (!context.json) process.stdout.write("\n");
    ask();
  }
  lines.close();
  context.signal.removeEventListener("abort", stop);
  context.signal.throwIfAborted();
}
