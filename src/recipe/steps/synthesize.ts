// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { z } from "zod";
import { Engine } from "../../engine/index.js";
import { parseFields } from "../../model/parse-fields.js";
import { resolveSynthesizeOptions, synthesize, synthesizeSchema } from "../../synthesize/index.js";
import { fieldsOf, stepKind } from "../step-kind.js";
import { withEngines } from "./engines.js";

const own = z.object({
  /** Engine, model directory or GGUF file. */
  teacher: z.string().min(1),
  /** Weight format of a model that is no engine yet. */
  weights: z.string().default("f32"),
  /** Prompt and generated tokens of one text. Default: the model's, at most 4,096. */
  contextTokens: z.number().int().min(1).optional(),
});

/** What a teacher writes: RUN/NAME/data.jsonl, for `tokenize` or, as conversations, for `train`. */
export const synthesizeStep = stepKind({
  verb: "synthesize",
  options: [...fieldsOf(own), ...fieldsOf(synthesizeSchema)],
  paths: { teacher: ["model", "engine"], prompts: ["text"], seeds: ["text"] },
  makes: "text",
  resumesInPlace: true,
  product: (directory) => join(directory, "data.jsonl"),
  parse: ({ teacher, weights, contextTokens, ...given }, directory) => {
    const engine = parseFields(own, { teacher, weights, contextTokens }, { code: "ERR_ARGUMENT", where: "synthesize" });
    const texts = { ...given, out: join(directory, "data.jsonl") };
    resolveSynthesizeOptions(texts);
    return { ...engine, texts: texts as unknown as Parameters<typeof synthesize>[1] };
  },
  run: async ({ teacher, weights, contextTokens, texts }, context) => {
    const { signal, onProgress } = context;
    const given = signal === undefined ? {} : { signal };
    const report = await withEngines([teacher], weights, context, async ([facts]) => {
      const size = { maxSequences: Math.ceil((texts.inFlight ?? 32) / 2), ...(contextTokens && { contextTokens }) };
      await using engine = await Engine.load(facts!.engine.directory, { ...size, ...given });
      return await synthesize(engine, texts, {
        ...given,
        onProgress: (event) => onProgress({ verb: "synthesize", event }),
      });
    });
    return { product: texts.out, outcome: report };
  },
});
