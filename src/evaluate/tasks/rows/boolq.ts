/** BoolQ (Clark et al., 2019): yes or no after a passage. */
import type { Fields } from "../fields.js";
import type { ChoiceDocument, ChoiceTask } from "../types.js";
import { answersAfter } from "./answers.js";

function read(fields: Fields): ChoiceDocument {
  if (fields.has("query")) {
    const choices = fields.texts("choices");
    const question = fields.text("query").replace(/^Passage: /, "");
    return answersAfter(`${question}\nAnswer:`, choices, fields.gold("gold", choices.length));
  }
  const question = `${fields.text("passage")}\nQuestion: ${fields.text("question")}?\nAnswer:`;
  return answersAfter(question, ["no", "yes"], fields.gold(fields.has("label") ? "label" : "answer", 2));
}

export const boolq: ChoiceTask = {
  name: "boolq",
  kind: "choice",
  fields: "passage, question, label; or query, choices, gold",
  shots: 0,
  sampler: "random",
  spareShot: true,
  metrics: ["acc"],
  read,
};
