/**
 * WinoGrande (Sakaguchi et al., 2019) by partial evaluation (Trinh and Le, 2018): each option is put into the blank, and
 * what counts is how likely the rest of the sentence is after it.
 */
import type { Fields } from "../fields.js";
import { strip } from "../python-text.js";
import type { ChoiceDocument, ChoiceTask } from "../types.js";

function read(fields: Fields): ChoiceDocument {
  if (fields.has("context_options")) {
    const contexts = fields.texts("context_options");
    return partial(contexts, fields.text("continuation"), fields.gold("gold", contexts.length));
  }
  const sentence = fields.text("sentence");
  const blank = sentence.indexOf("_");
  if (blank < 0) fields.fail("sentence", 'a sentence with a blank "_"');
  const contexts = [fields.text("option1"), fields.text("option2")].map((option) => sentence.slice(0, blank) + option);
  return partial(contexts, strip(sentence.slice(blank + 1)), fields.gold("answer", 2, 1));
}

function partial(contexts: string[], rest: string, gold: number): ChoiceDocument {
  return { contexts, continuations: contexts.map(() => ` ${rest}`), choices: contexts, gold };
}

export const winogrande: ChoiceTask = {
  name: "winogrande",
  kind: "choice",
  fields: "sentence, option1, option2, answer; or context_options, continuation, gold",
  shots: 0,
  sampler: "random",
  spareShot: true,
  metrics: ["acc"],
  read,
};
