/**
 * The model's answers to every document, greedily.
 */
import { EspalierError } from "../../errors.js";
import type { Outcome, Run } from "./choose.js";
import { forEachInFlight, ITEMS_IN_FLIGHT } from "./in-flight.js";
import type { PairTokenizer } from "./encode.js";
import type { Prompt } from "./prompts.js";
import type { GenerateDocument, GenerateTask, Sample } from "./types.js";

/** What answers are written by; `Engine` is one. */
export interface WritingEngine {
  readonly directory: string;
  readonly contextTokens: number;
  generate(options: {
    ids: ArrayLike<number>;
    maxTokens: number;
    temperature: number;
    repetitionPenalty: number;
    stop: string[];
    signal?: AbortSignal;
  }): { result(): Promise<{ text: string }> };
}

/** A prompt loses its beginning where there would be no room for the answer. ERR_CONTEXT_LENGTH. */
export async function writeAnswers(
  engine: WritingEngine,
  tokenizer: PairTokenizer,
  task: GenerateTask,
  prompts: readonly Prompt<GenerateDocument>[],
  run: Run,
): Promise<Outcome> {
  const room = engine.contextTokens - task.maxTokens;
  if (room < 1)
    throw new EspalierError(
      "ERR_CONTEXT_LENGTH",
      `${task.name}: expected a context of more than ${task.maxTokens} tokens (an answer's), ` +
        `found ${engine.contextTokens} (${engine.directory})`,
    );
  const ids = await tokenizer.encodeBatch(prompts.map(({ prefix, document }) => prefix + document.context));
  const samples = new Array<Sample>(prompts.length);
  let done = 0;
  await forEachInFlight([...prompts.entries()], ITEMS_IN_FLIGHT, run.signal, async ([index, { document }], signal) => {
    const generation = engine.generate({
      ids: (ids[index] as Int32Array).slice(-room),
      maxTokens: task.maxTokens,
      temperature: 0,
      repetitionPenalty: 1,
      stop: [...task.until],
      signal,
    });
    const answer = (await generation.result()).text;
    samples[index] = {
      kind: "generate",
      answer,
      target: document.target,
      values: task.score(answer, document),
    };
    run.onDone(++done);
  });
  return { samples, truncated: ids.filter((prompt) => prompt.length > room).length };
}
