/** The usual form: one question, and each answer after a space. */
import type { ChoiceDocument } from "../types.js";

export function answersAfter(context: string, choices: string[], gold: number): ChoiceDocument {
  return {
    contexts: choices.map(() => context),
    continuations: choices.map((choice) => ` ${choice}`),
    choices,
    gold,
  };
}
