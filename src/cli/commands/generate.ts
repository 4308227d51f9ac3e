/** espalier generate: text or ids from a prompt. */
import type { Command } from "commander";
import { EspalierError } from "../../errors.js";
import type { GenerateOptions, GenerationResult } from "../../engine/index.js";
import { addEngineOptions, openEngine, type EngineCliOptions } from "../open-engine.js";
import { collect, idList, positiveNumber, realNumber, wholeNumber } from "../options.js";
import { action } from "../run-command.js";

export interface SamplingCliOptions {
  maxTokens: number;
  greedy?: boolean;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  seed?: number;
  stop?: string[];
  ignoreEos?: boolean;
}

interface Options extends EngineCliOptions, SamplingCliOptions {
  prompt?: string;
  ids?: number[];
  system?: string;
  raw?: boolean;
  logprobs?: number;
}

/** Sampling options, shared with chat. */
export function addSamplingOptions(command: Command): Command {
  return command
    .option("--max-tokens <n>", "tokens to generate at most", positiveNumber, 256)
    .option("--greedy", "always the most probable token")
    .option("--temperature <t>", "0 = greedy (default: the model's generation_config.json)", realNumber)
    .option("--top-k <k>", "keep the k most probable tokens, 0 = off", wholeNumber)
    .option("--top-p <p>", "keep the smallest set with probability p, 1 = off", realNumber)
    .option("--min-p <p>", "keep tokens at least p times as probable as the best, 0 = off", realNumber)
    .option("--repetition-penalty <r>", "1 = off", realNumber)
    .option("--seed <n>", "the same seed gives the same text", wholeNumber)
    .option("--stop <text>", "end at this text (repeatable)", collect)
    .option("--ignore-eos", "do not end at the end-of-sequence token");
}

export function samplingOptions(
  options: SamplingCliOptions,
  signal: AbortSignal,
): Omit<GenerateOptions, "prompt" | "messages" | "ids"> {
  const given: Record<string, unknown> = {
    maxTokens: options.maxTokens,
    temperature: options.greedy === true ? 0 : options.temperature,
    topK: options.topK,
    topP: options.topP,
    minP: options.minP,
    repetitionPenalty: options.repetitionPenalty,
    seed: options.seed,
    stop: options.stop,
    ignoreEos: options.ignoreEos,
    signal,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

export function register(program: Command): void {
  const command = program
    .command("generate")
    .description("generate text from a prompt")
    .argument("<model>", "engine directory, model directory or GGUF file")
    .argument("[prompt]", "the prompt (or --prompt, --ids)")
    .option("--prompt <text>", "the prompt")
    .option("--ids <list>", "prompt as token ids: 1,2,3 (no tokenizer needed)", idList)
    .option("--system <text>", "system message")
    .option("--raw", "give the prompt to the model as it stands, without the chat template")
    .option("--logprobs <n>", "with --json: the n most probable tokens at each place", wholeNumber);
  addSamplingOptions(addEngineOptions(command));
  command.addHelpText(
    "after",
    '\nExample:\n  espalier generate smollm2-int8 "Why is the sky blue?" --max-tokens 64 --greedy',
  );
  action(command, async (context, model: string, prompt: string | undefined, options: Options) => {
    await using engine = await openEngine(model, options, context);
    const generation = engine.generate({
      ...promptOf(prompt, options, engine.tokenizer?.chatTemplate != null),
      ...samplingOptions(options, context.signal),
      ...(options.logprobs === undefined ? {} : { logprobs: options.logprobs }),
    });
    if (!context.json) for await (const chunk of generation) process.stdout.write(chunk.text);
    const result = await generation.result();
    const onlyIds = engine.tokenizer === null && !context.json;
    return { json: jsonOf(result, options), text: onlyIds ? result.ids.join(",") : "" };
  });
}

function promptOf(positional: string | undefined, options: Options, hasTemplate: boolean): GenerateOptions {
  const given = [positional, options.prompt, options.ids].filter((value) => value !== undefined);
  if (given.length !== 1)
    throw new EspalierError(
      "ERR_USAGE",
      `prompt: expected exactly one of PROMPT, --prompt and --ids, found ${given.length}`,
    );
  if (options.ids !== undefined) return { ids: options.ids };
  const text = (positional ?? options.prompt) as string;
  if (text === "") throw new EspalierError("ERR_EMPTY_PROMPT", "prompt: expected some text, found an empty string");
  if (options.system !== undefined && (options.raw === true || !hasTemplate))
    throw new EspalierError(
      "ERR_USAGE",
      `--system: expected a model with a chat template and no --raw, found ${options.raw === true ? "--raw" : "none"}`,
    );
  if (options.raw === true || !hasTemplate) return { prompt: text };
  const system = options.system === undefined ? [] : [{ role: "system", content: options.system }];
  return { messages: [...system, { role: "user", content: text }] };
}

function jsonOf(result: GenerationResult, options: Options): Record<string, unknown> {
  const { tokens, ids, ttftMs, totalMs } = result;
  const tpotMs = ids.length > 1 ? (totalMs - ttftMs) / (ids.length - 1) : null;
  return {
    text: result.text,
    ids,
    promptIds: result.promptIds,
    finishReason: result.finishReason,
    stopString: result.stopString,
    reusedTokens: result.reusedTokens,
    ttftMs,
    tpotMs,
    ...(options.logprobs === undefined ? {} : { tokens }),
  };
}
