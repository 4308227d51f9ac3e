// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { Engine } from "../../engine/index.js";
import { EspalierError } from "../../errors.js";
import {
  evaluatePerplexity,
  evaluateTasks,
  findTask,
  readTasks,
  type LoadedTask,
  type PerplexityReport,
  type TasksReport,
} from "../../evaluate/index.js";
import { parseFields } from "../../model/parse-fields.js";
import { fieldsOf, stepKind, type StepContext } from "../step-kind.js";
import { withEngines, type EngineFacts } from "./engines.js";

const count = z.number().int().min(1);

const schema = z.strictObject({
  /** Engine, model directory or GGUF file. */
  model: z.string().min(1),
  /** Weight format of a model that is no engine yet. */
  weights: z.string().default("f32"),
  /** A UTF-8 text. */
  perplexity: z.string().min(1).optional(),
  window: count.default(512),
  stride: count.optional(),
  maxTokens: count.optional(),
  /** Task to its file of JSON lines. */
  tasks: z.record(z.string(), z.string()).optional(),
  fewShot: z.number().int().min(0).optional(),
  limit: count.optional(),
  seed: z.number().int().min(0).optional(),
});

type Options = z.output<typeof schema>;

export interface EvaluateOutcome {
  engine: EngineFacts;
  perplexity: (PerplexityReport & { corpus: string }) | null;
  tasks: TasksReport | null;
}

/** Perplexity and task scores of one model. */
export const evaluateStep = stepKind({
  verb: "evaluate",
  options: fieldsOf(schema),
  paths: { model: ["model", "engine"], perplexity: ["text"], tasks: [] },
  makes: "figures",
  parse: (given) => {
    const options = parseFields(schema, given, { code: "ERR_ARGUMENT", where: "evaluate" });
    if (options.perplexity === undefined && options.tasks === undefined)
      throw new EspalierError("ERR_ARGUMENT", "evaluate: expected perplexity, tasks or both, found neither");
    Object.keys(options.tasks ?? {}).forEach(findTask);
    return options;
  },
  run: async (options, context) => {
    const files = Object.entries(options.tasks ?? {}).map(([task, file]) => ({ task, file }));
    const loaded = files.length === 0 ? [] : await readTasks(files);
    const outcome = await withEngines([options.model], options.weights, context, async ([facts]) =>
      measure(facts!, loaded, options, context),
    );
    return { product: context.directory, outcome };
  },
});

async function measure(
  facts: EngineFacts,
  loaded: readonly LoadedTask[],
  options: Options,
  context: StepContext,
): Promise<EvaluateOutcome> {
  const { signal, onProgress } = context;
  await using engine = await Engine.load(facts.engine.directory, {
    ...(loaded.length > 0 ? {} : { contextTokens: options.window }),
    ...(signal === undefined ? {} : { signal }),
  });
  const { perplexity: file, window, stride, maxTokens, fewShot, limit, seed } = options;
  const perplexity =
    file === undefined
      ? null
      : await evaluatePerplexity(engine, {
          file,
          window: Math.min(window, engine.contextTokens),
          ...(stride === undefined ? {} : { stride }),
          ...(maxTokens === undefined ? {} : { maxTokens }),
          ...(signal === undefined ? {} : { signal }),
          onProgress: (event) => onProgress({ verb: "perplexity", event }),
        });
  const tasks =
    loaded.length === 0
      ? null
      : await evaluateTasks(engine, loaded, {
          ...(fewShot === undefined ? {} : { shots: fewShot }),
          ...(limit === undefined ? {} : { limit }),
          ...(seed === undefined ? {} : { seed }),
          ...(signal === undefined ? {} : { signal }),
          onProgress: (event) => onProgress({ verb: "tasks", event }),
        });
  return { engine: facts, perplexity: perplexity === null ? null : { ...perplexity, corpus: file! }, tasks };
}
