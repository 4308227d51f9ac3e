/**
 * Token ids of contexts and continuations, as lm-evaluation-harness makes them.
 */
import { EspalierError } from "../../errors.js";
import { rstrip } from "./python-text.js";

export interface Pair {
  context: string;
  continuation: string;
}

export interface EncodedPair {
  context: Int32Array;
  continuation: Int32Array;
}

export interface PairTokenizer {
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  encodeBatch(texts: readonly string[], options?: { addSpecialTokens?: boolean }): Promise<Int32Array[]>;
}

/**
 * White space at the end of a context belongs to the continuation: tokens begin with a space, seldom end with one. Both
 * are encoded as one text, and the continuation is what comes after the tokens that the context has alone. An empty
 * context is the beginning-of-sequence token, or the end-of-sequence token of a tokenizer without one.
 */
export async function encodePairs(tokenizer: PairTokenizer, pairs: readonly Pair[]): Promise<EncodedPair[]> {
  const texts = new Map<string, number>();
  const indexOf = (text: string): number => {
    const index = texts.get(text) ?? texts.size;
    texts.set(text, index);
    return index;
  };
  const places = pairs.map(({ context, continuation }) => ({
    context: indexOf(rstrip(context)),
    whole: indexOf(context + continuation),
  }));
  const ids = await tokenizer.encodeBatch([...texts.keys()]);
  return Promise.all(
    pairs.map(async (pair, index) => {
      if (pair.context === "") return encodeAlone(tokenizer, pair.continuation);
      const { context, whole } = places[index] as { context: number; whole: number };
      const before = ids[context] as Int32Array;
      return { context: before, continuation: (ids[whole] as Int32Array).subarray(before.length) };
    }),
  );
}

async function encodeAlone(tokenizer: PairTokenizer, continuation: string): Promise<EncodedPair> {
  const [ids] = (await tokenizer.encodeBatch([continuation], { addSpecialTokens: false })) as [Int32Array];
  const first = tokenizer.bosTokenId ?? tokenizer.eosTokenIds[0];
  if (first === undefined || ids[0] === first) return { context: ids.slice(0, 1), continuation: ids.slice(1) };
  return { context: Int32Array.of(first), continuation: ids };
}

/**
 * The last `limit` tokens of context and continuation. ERR_CONTEXT_LENGTH when the continuation leaves no room for a
 * token of context, ERR_TASK_FIELD when there is nothing to predict.
 */
export function fitPair(pair: EncodedPair, limit: number, where: string): { pair: EncodedPair; truncated: boolean } {
  const { context, continuation } = pair;
  if (context.length === 0 || continuation.length === 0)
    throw new EspalierError(
      "ERR_TASK_FIELD",
      `${where}: expected a question and an answer of a token each, found none`,
    );
  if (continuation.length >= limit)
    throw new EspalierError(
      "ERR_CONTEXT_LENGTH",
      `${where}: answer: expected at most ${limit - 1} tokens (the engine's context is ${limit}), ` +
        `found ${continuation.length}`,
    );
  const room = limit - continuation.length;
  if (context.length <= room) return { pair, truncated: false };
  return { pair: { context: context.slice(context.length - room), continuation }, truncated: true };
}
