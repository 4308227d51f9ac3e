/** Physical Interaction QA (Bisk et al., 2020). */
import type { Fields } from "../fields.js";
import type { ChoiceDocument, ChoiceTask } from "../types.js";
import { answersAfter } from "./answers.js";

function read(fields: Fields): ChoiceDocument {
  if (fields.has("query")) {
    const choices = fields.texts("choices");
    const question = fields.text("query").replace(/\n$/, "");
    return answersAfter(`${question}\nAnswer:`, choices, fields.gold("gold", choices.length));
  }
  const choices = [fields.text("sol1"), fields.text("sol2")];
  return answersAfter(`Question: ${fields.text("goal")}\nAnswer:`, choices, fields.gold("label", 2));
}

export const piqa: ChoiceTask = {
  name: "piqa",
  kind: "choice",
  fields: "goal, sol1, sol2, label; or query, choices, gold",
  shots: 0,
  sampler: "random",
  spareShot: true,
  metrics: ["acc", "acc_norm"],
  read,
};
