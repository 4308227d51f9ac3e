/**
 * How likely continuations of one context are.
 */

/** What of an engine it takes. */
export interface ContinuationEngine {
  logits(ids: ArrayLike<number>, options: { signal?: AbortSignal }): Promise<Float32Array[]>;
  score(ids: ArrayLike<number>, options: { signal?: AbortSignal }): Promise<Float64Array>;
}

/**
 * Log-probabilities of every token of each continuation. Continuations of one token are all read off the same logits:
 * the context is computed once for them.
 */
export async function scoreContinuations(
  engine: ContinuationEngine,
  context: ArrayLike<number>,
  continuations: readonly ArrayLike<number>[],
  options: { signal?: AbortSignal },
): Promise<Float64Array[]> {
  const single = continuations.some(({ length }) => length === 1) ? engine.logits(context, options) : null;
  const scores = continuations.map(async (continuation) => {
    if (continuation.length === 1 && single !== null) {
      const [row] = await single;
      return Float64Array.of(logProbability(row as Float32Array, continuation[0] as number));
    }
    const whole = Int32Array.from([...Array.from(context), ...Array.from(continuation)]);
    return (await engine.score(whole, options)).slice(context.length - 1);
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
