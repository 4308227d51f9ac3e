/**
 * Prompts with examples in front, as lm-evaluation-harness writes them.
 */
import { PythonRandom } from "../../data/python-random.js";
import { EspalierError } from "../../errors.js";
import type { Line, Loaded } from "./read-tasks.js";
import type { AnyTask, ChoiceDocument, GenerateDocument } from "./types.js";

export interface PromptOptions {
  /** Examples in front of each question. Default: the task's own number. */
  shots?: number;
  /** Seed of the examples drawn. Default 1234, the harness's. */
  seed?: number;
  /** Only the first so many documents. */
  limit?: number;
}

/** A document ready to be asked. */
export interface Prompt<Document> {
  document: Document;
  where: string;
  /** Instruction and examples; stands before the document's own text. */
  prefix: string;
}

const BETWEEN_EXAMPLES = "\n\n";
const DEFAULT_SEED = 1234;

export function shotsOf(loaded: { task: AnyTask }, options: PromptOptions): number {
  return options.shots ?? loaded.task.shots;
}

/** One for each document, in the order of the file: examples are drawn anew for each from one stream of draws. */
export function makePrompts<Document extends ChoiceDocument | GenerateDocument>(
  loaded: Loaded<AnyTask, Document>,
  options: PromptOptions,
): Prompt<Document>[] {
  const shots = shotsOf(loaded, options);
  const draws = new Map<string, (line: Line<Document>) => Line<Document>[]>(); // by instruction: subjects do not mix
  return loaded.lines.slice(0, options.limit).map((line) => {
    const { document, where } = line;
    const description = descriptionOf(document);
    let draw = draws.get(description);
    if (draw === undefined) {
      const pool = loaded.pool.filter((other) => descriptionOf(other.document) === description);
      draw = shots === 0 ? () => [] : drawer(pool, loaded, shots, options.seed ?? DEFAULT_SEED);
      draws.set(description, draw);
    }
    const examples = draw(line).map((example) => exampleText(example.document) + BETWEEN_EXAMPLES);
    return { document, where, prefix: description + examples.join("") };
  });
}

function descriptionOf(document: ChoiceDocument | GenerateDocument): string {
  return "description" in document ? (document.description ?? "") : "";
}

function exampleText(document: ChoiceDocument | GenerateDocument): string {
  if ("target" in document) return `${document.context} ${document.target}`;
  return `${document.contexts[document.gold]}${document.continuations[document.gold]}`;
}

/** Picks the examples for one document after another. */
function drawer<Document>(
  pool: Line<Document>[],
  { task, ownPool, file }: Loaded<AnyTask, Document>,
  shots: number,
  seed: number,
): (line: Line<Document>) => Line<Document>[] {
  const leavesOut = ownPool || task.spareShot;
  const without = (lines: Line<Document>[], line: Line<Document>): Line<Document>[] =>
    lines.filter(({ key }) => key !== line.key);
  const check = (found: number): void => {
    if (found < shots)
      throw new EspalierError(
        "ERR_ARGUMENT",
        `few-shot: expected at most ${found} (the examples for ${task.name} besides the document asked, ${file}), ` +
          `found ${shots}`,
      );
  };
  if (task.sampler === "first")
    return (line) => {
      const rest = leavesOut ? without(pool, line) : pool;
      check(rest.length);
      return rest.slice(0, shots);
    };
  const random = new PythonRandom(seed);
  const sample = (lines: Line<Document>[], count: number): Line<Document>[] => {
    check(lines.length - (count - shots));
    return random.sample(lines.length, count).map((index) => lines[index] as Line<Document>);
  };
  return (line) => {
    if (!leavesOut) return sample(pool, shots);
    const drawn = without(sample(pool, shots + 1), line).slice(0, shots);
    return drawn.length === shots ? drawn : sample(without(pool, line), shots);
  };
}
