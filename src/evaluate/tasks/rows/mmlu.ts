/** MMLU's form (Hendrycks et al., 2021): lettered answers; the model is asked for the letter. */
import type { Fields } from "../fields.js";
import { strip } from "../python-text.js";
import type { ChoiceDocument, ChoiceTask } from "../types.js";
import { answersAfter } from "./answers.js";

const LETTERS = ["A", "B", "C", "D"];

function read(fields: Fields): ChoiceDocument {
  const answers = fields.texts("choices");
  if (answers.length !== LETTERS.length) fields.fail("choices", `${LETTERS.length} answers`);
  const lines = answers.map((answer, index) => `${LETTERS[index]}. ${answer}\n`).join("");
  const document = answersAfter(
    `${strip(fields.text("question"))}\n${lines}Answer:`,
    LETTERS,
    fields.gold("answer", LETTERS.length),
  );
  if (!fields.has("subject")) return document;
  const subject = fields.text("subject").replaceAll("_", " ");
  const description = `The following are multiple choice questions (with answers) about ${subject}.\n\n`;
  return { ...document, description };
}

export const mmlu: ChoiceTask = {
  name: "mmlu",
  kind: "choice",
  fields: "question, choices (four), answer; subject if there is one",
  shots: 0,
  sampler: "first",
  spareShot: false,
  metrics: ["acc"],
  read,
};
