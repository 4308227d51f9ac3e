/**
 * Log-likelihoods of every document's answers.
 */
import { encodePairs, fitPair, type EncodedPair, type PairTokenizer } from "./encode.js";
import { forEachInFlight, ITEMS_IN_FLIGHT } from "./in-flight.js";
import { scoreChoices } from "./metrics.js";
import type { Prompt } from "./prompts.js";
import type { ChoiceDocument, Sample } from "./types.js";

/** What answers are scored by; `Engine` is one. */
export interface ChoosingEngine {
  readonly contextTokens: number;
  scoreContinuations(
    context: ArrayLike<number>,
    continuations: readonly ArrayLike<number>[],
    options?: { signal?: AbortSignal },
  ): Promise<ArrayLike<number>[]>;
}

export interface Run {
  signal: AbortSignal | undefined;
  /** Documents done so far. */
  onDone: (done: number) => void;
}

/** In the order of the prompts. */
export interface Outcome {
  samples: Sample[];
  truncated: number;
}

interface Question {
  index: number;
  document: ChoiceDocument;
  answers: EncodedPair[];
  tokens: number;
}

/** So many documents are encoded at a time. */
const ENCODE_DOCUMENTS = 256;

/** The longest documents are asked first, so that no long one is left alone at the end. */
export async function chooseAnswers(
  engine: ChoosingEngine,
  tokenizer: PairTokenizer,
  prompts: readonly Prompt<ChoiceDocument>[],
  run: Run,
): Promise<Outcome> {
  const { questions, truncated } = await encodeQuestions(engine, tokenizer, prompts);
  const samples = new Array<Sample>(prompts.length);
  let done = 0;
  questions.sort((a, b) => b.tokens - a.tokens || a.index - b.index);
  await forEachInFlight(
    questions,
    atOnce(engine, questions),
    run.signal,
    async ({ index, document, answers }, signal) => {
      const logLikelihoods = await scoreAnswers(engine, answers, signal);
      const values = scoreChoices(logLikelihoods, document);
      samples[index] = { kind: "choice", logLikelihoods, gold: document.gold, values };
      run.onDone(++done);
    },
  );
  return { samples, truncated };
}

/** Fewer of long questions: what their answers share must stay in the cache until the last of them is scored. */
function atOnce(engine: ChoosingEngine, questions: readonly Question[]): number {
  const longest = questions[0]?.answers[0]?.context.length ?? 1;
  return Math.min(ITEMS_IN_FLIGHT, Math.max(4, Math.floor((2 * engine.contextTokens) / longest)));
}

async function encodeQuestions(
  engine: ChoosingEngine,
  tokenizer: PairTokenizer,
  prompts: readonly Prompt<ChoiceDocument>[],
): Promise<{ questions: Question[]; truncated: number }> {
  const questions: Question[] = [];
  let truncated = 0;
  for (let begin = 0; begin < prompts.length; begin += ENCODE_DOCUMENTS) {
    const some = prompts.slice(begin, begin + ENCODE_DOCUMENTS);
    const encoded = (await encodePairs(tokenizer, some.flatMap(pairsOf))).values();
    for (const [offset, { document, where }] of some.entries()) {
      const answers = document.contexts.map(() => {
        const fitted = fitPair(encoded.next().value as EncodedPair, engine.contextTokens, where);
        truncated += Number(fitted.truncated);
        return fitted.pair;
      });
      const tokens = answers.reduce((sum, { context, continuation }) => sum + context.length + continuation.length, 0);
      questions.push({ index: begin + offset, document, answers, tokens });
    }
  }
  return { questions, truncated };
}

/** The harness's requests for a document, as text. */
export function pairsOf({ document, prefix }: Prompt<ChoiceDocument>): { context: string; continuation: string }[] {
  return document.contexts.map((context, index) => ({
    context: prefix + context,
    continuation: document.continuations[index] as string,
  }));
}

/** Answers after the same context are scored together. */
async function scoreAnswers(
  engine: ChoosingEngine,
  answers: readonly EncodedPair[],
  signal: AbortSignal,
): Promise<number[]> {
  const groups = new Map<string, number[]>();
  for (const [index, { context }] of answers.entries()) {
    const key = context.join();
    groups.set(key, [...(groups.get(key) ?? []), index]);
  }
  const sums = new Array<number>(answers.length);
  await Promise.all(
    [...groups.values()].map(async (indices) => {
      const { context } = answers[indices[0] as number] as EncodedPair;
      const continuations = indices.map((index) => (answers[index] as EncodedPair).continuation);
      const scores = await engine.scoreContinuations(context, continuations, { signal });
      for (const [at, index] of indices.entries()) sums[index] = sum(scores[at] as ArrayLike<number>);
    }),
  );
  return sums;
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; ++i) total += values[i] as number;
  return total;
}
