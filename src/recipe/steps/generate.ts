// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { Engine } from "../../engine/index.js";
import { parseFields } from "../../model/parse-fields.js";
import { fieldsOf, stepKind } from "../step-kind.js";
import { withEngines, type EngineFacts } from "./engines.js";

const schema = z.strictObject({
  /** Engines, model directories or GGUF files. */
  models: z.array(z.string().min(1)).min(1),
  weights: z.string().default("f32"),
  /** For models that chat, what the user says; for others, how the text begins. */
  prompt: z.string().min(1),
  maxTokens: z.number().int().min(1).default(64),
});

export interface GenerateOutcome {
  prompt: string;
  engines: EngineFacts[];
  /** In the order of the engines. */
  answers: string[];
}

/** What models say, for the eye: greedy. */
export const generateStep = stepKind({
  verb: "generate",
  options: fieldsOf(schema),
  paths: { models: ["model", "engine"] },
  makes: "figures",
  parse: (given) => parseFields(schema, given, { code: "ERR_ARGUMENT", where: "generate" }),
  run: async ({ models, weights, prompt, maxTokens }, context) => {
    const { signal } = context;
    const outcome = await withEngines(models, weights, context, async (engines): Promise<GenerateOutcome> => {
      const answers: string[] = [];
      for (const { engine: facts } of engines) {
        await using engine = await Engine.load(facts.directory, signal === undefined ? {} : { signal });
        const asked =
          engine.tokenizer?.chatTemplate == null ? { prompt } : { messages: [{ role: "user", content: prompt }] };
        const generation = engine.generate({ ...asked, maxTokens, temperature: 0, ...(signal && { signal }) });
        answers.push((await generation.result()).text.trim());
      }
      return { prompt, engines, answers };
    });
    return { product: context.directory, outcome };
  },
});
