/**
 * ROUGE-1, ROUGE-2 and ROUGE-L (Lin, 2004) as F-measures of words in a-z and 0-9, without stemming: the numbers of the
 * rouge-score package.
 */

/** @example rouge("the cat sat", "the cat ran").rouge1 // 0.667 */
export function rouge(target: string, answer: string): { rouge1: number; rouge2: number; rougeL: number } {
  const wanted = wordsOf(target);
  const found = wordsOf(answer);
  return {
    rouge1: overlap(wanted, found, 1),
    rouge2: overlap(wanted, found, 2),
    rougeL: fMeasure(commonLength(wanted, found), wanted.length, found.length),
  };
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
}

function overlap(wanted: readonly string[], found: readonly string[], n: number): number {
  const wantedCounts = countRuns(wanted, n);
  const foundCounts = countRuns(found, n);
  let common = 0;
  for (const [run, count] of wantedCounts) common += Math.min(count, foundCounts.get(run) ?? 0);
  return fMeasure(common, Math.max(0, wanted.length - n + 1), Math.max(0, found.length - n + 1));
}

function countRuns(words: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let at = 0; at + n <= words.length; ++at) {
    const run = words.slice(at, at + n).join(" ");
    counts.set(run, (counts.get(run) ?? 0) + 1);
  }
  return counts;
}

/** Length of the longest common subsequence, one row of the table at a time. */
function commonLength(a: readonly string[], b: readonly string[]): number {
  let above = new Uint32Array(b.length + 1);
  for (const word of a) {
    const row = new Uint32Array(b.length + 1);
    for (let j = 1; j <= b.length; ++j)
      row[j] = word === b[j - 1] ? above[j - 1]! + 1 : Math.max(above[j]!, row[j - 1]!);
    above = row;
  }
  return above[b.length]!;
}

function fMeasure(common: number, wanted: number, found: number): number {
  const precision = common / Math.max(found, 1);
  const recall = common / Math.max(wanted, 1);
  return precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0;
}
