/**
 * How likely continuations of one context are.
 */

interface ScoreOptions {
  signal?: AbortSignal;
  reusePrefix?: boolean;
}

/** What of an engine it takes. */
export interface ContinuationEngine {
  logits(ids: ArrayLike<number>, options: ScoreOptions): Promise<Float32Array[]>;
  score(ids: ArrayLike<number>, options: ScoreOptions & { from: number }): Promise<Float64Array>;
}

/** Shorter contexts are computed for every continuation: waiting for the first one costs more. */
const WORTH_SHARING = 8;

/**
 * Log-probabilities of every token of each continuation. The context is computed once: the first continuation goes ahead,
 * the others find it in the cache. Continuations of one token are all read off the same logits.
 */
export async function scoreContinuations(
  engine: ContinuationEngine,
  context: ArrayLike<number>,
  continuations: readonly ArrayLike<number>[],
  { signal }: { signal?: AbortSignal },
): Promise<Float64Array[]> {
  const options = { reusePrefix: context.length > WORTH_SHARING, ...(signal === undefined ? {} : { signal }) };
  let ahead: Promise<unknown> | null = null;
  const goAhead = <T>(start: () => Promise<T>): Promise<T> => {
    if (options.reusePrefix && ahead !== null) return ahead.then(start);
    const started = start();
    ahead = started;
    return started;
  };
  const single = continuations.some(({ length }) => length === 1)
    ? goAhead(() => engine.logits(context, options))
    : Promise.resolve([]);
  const scores = continuations.map(async (continuation) => {
    if (continuation.length === 1)
      return Float64Array.of(logProbability((await single)[0] as Float32Array, continuation[0] as number));
    const ids = new Int32Array(context.length + continuation.length);
    ids.set(context);
    ids.set(continuation, context.length);
    return goAhead(() => engine.score(ids, { ...options, from: context.length }));
  });
  return Promise.all(scores);
}

/** log softmax(logits)[id] in float64. */
function logProbability(logits: Float32Array, id: number): number {
  let largest = -Infinity;
  for (const logit of logits) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return (logits[id] as number) - largest - Math.log(sum);
}
