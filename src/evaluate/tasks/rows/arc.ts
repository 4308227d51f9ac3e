/** AI2 Reasoning Challenge (Clark et al., 2018), both sets. */
import type { Fields } from "../fields.js";
import type { ChoiceDocument, ChoiceTask } from "../types.js";
import { answersAfter } from "./answers.js";

function read(fields: Fields): ChoiceDocument {
  if (fields.has("query")) {
    const choices = fields.texts("choices");
    return answersAfter(`${fields.text("query")}\nAnswer:`, choices, fields.gold("gold", choices.length));
  }
  const answers = fields.object("choices");
  const choices = answers.texts("text");
  const labels = answers.texts("label");
  const gold = labels.indexOf(fields.text("answerKey"));
  if (gold < 0 || gold >= choices.length) fields.fail("answerKey", `one of ${labels.join(", ")}`, "ERR_TASK_GOLD");
  return answersAfter(`Question: ${fields.text("question")}\nAnswer:`, choices, gold);
}

const row = {
  kind: "choice",
  fields: "question, choices {text, label}, answerKey; or query, choices, gold",
  shots: 0,
  sampler: "random",
  spareShot: false,
  metrics: ["acc", "acc_norm"],
  read,
} as const;

export const arcEasy: ChoiceTask = { name: "arc_easy", ...row };
export const arcChallenge: ChoiceTask = { name: "arc_challenge", ...row };
