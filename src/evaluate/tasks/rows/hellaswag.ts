/** HellaSwag (Zellers et al., 2019); marks of its WikiHow part are taken out. */
import type { Fields } from "../fields.js";
import { capitalize, strip } from "../python-text.js";
import type { ChoiceDocument, ChoiceTask } from "../types.js";
import { answersAfter } from "./answers.js";

function clean(text: string): string {
  return strip(text)
    .replaceAll(" [title]", ". ")
    .replace(/\[[^\n]*?\]/g, "")
    .replaceAll("  ", " ");
}

function read(fields: Fields): ChoiceDocument {
  if (fields.has("query")) {
    const choices = fields.texts("choices");
    return answersAfter(fields.text("query"), choices, fields.gold("gold", choices.length));
  }
  const context = `${fields.text("ctx_a")} ${capitalize(fields.text("ctx_b"))}`;
  const choices = fields.texts("endings").map(clean);
  const question = clean(`${fields.text("activity_label")}: ${context}`);
  return answersAfter(question, choices, fields.gold("label", choices.length));
}

export const hellaswag: ChoiceTask = {
  name: "hellaswag",
  kind: "choice",
  fields: "activity_label, ctx_a, ctx_b, endings, label; or query, choices, gold",
  shots: 0,
  sampler: "random",
  spareShot: true,
  metrics: ["acc", "acc_norm"],
  read,
};
