/** GSM8K (Cobbe et al., 2021): sums in words; the number at the end of the reasoning counts. */
import type { Fields } from "../fields.js";
import { exactMatch, extractLast, extractMarked } from "../extract.js";
import type { GenerateDocument, GenerateTask } from "../types.js";

function read(fields: Fields): GenerateDocument {
  return { context: `Question: ${fields.text("question")}\nAnswer:`, target: fields.text("answer") };
}

export const gsm8k: GenerateTask = {
  name: "gsm8k",
  kind: "generate",
  fields: "question, answer",
  shots: 5,
  sampler: "random",
  spareShot: false,
  metrics: ["exact_match,strict-match", "exact_match,flexible-extract"],
  until: ["Question:", "</s>", "<|im_end|>"],
  maxTokens: 256,
  read,
  score: (answer, { target }) => ({
    "exact_match,strict-match": exactMatch(extractMarked(answer), target),
    "exact_match,flexible-extract": exactMatch(extractLast(answer), target),
  }),
};
