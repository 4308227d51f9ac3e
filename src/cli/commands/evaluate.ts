/** espalier evaluate: how well a model predicts a text. */
import type { Command } from "commander";
import { evaluatePerplexity } from "../../evaluate/index.js";
import { EspalierError } from "../../errors.js";
import { addEngineOptions, openEngine, type EngineCliOptions } from "../open-engine.js";
import { positiveNumber } from "../options.js";
import { action } from "../run-command.js";

interface Options extends EngineCliOptions {
  perplexity?: string;
  window: number;
  stride?: number;
  maxTokens?: number;
}

export function register(program: Command): void {
  const command = program
    .command("evaluate")
    .description("perplexity of a text")
    .argument("<model>", "engine directory, model directory or GGUF file")
    .option("--perplexity <file>", "text file (UTF-8)")
    .option("--window <tokens>", "tokens of a window", positiveNumber, 512)
    .option("--stride <tokens>", "tokens from window to window (default: the window)", positiveNumber)
    .option("--max-tokens <n>", "use only the first n tokens of the text", positiveNumber);
  addEngineOptions(command);
  command.addHelpText(
    "after",
    "\nExample:\n  espalier evaluate smollm2-int8 --perplexity moby-dick.txt --window 512 --max-tokens 20000",
  );
  action(command, async (context, model: string, options: Options) => {
    if (options.perplexity === undefined)
      throw new EspalierError("ERR_USAGE", "evaluate: expected --perplexity FILE, found nothing to evaluate");
    await using engine = await openEngine(model, { context: options.window, ...options }, context);
    const result = await evaluatePerplexity(engine, {
      file: options.perplexity,
      window: options.window,
      ...(options.stride === undefined ? {} : { stride: options.stride }),
      ...(options.maxTokens === undefined ? {} : { maxTokens: options.maxTokens }),
      signal: context.signal,
      onProgress: ({ done, total }) => context.progress.update("perplexity", done, total),
    });
    const bits = result.bitsPerByte === null ? "" : `, ${result.bitsPerByte.toFixed(4)} bits per byte`;
    const text =
      `perplexity ${result.perplexity.toFixed(4)}${bits} ` +
      `(mean NLL ${result.nll.toFixed(5)} over ${result.tokens} tokens)`;
    return { json: result, text };
  });
}
