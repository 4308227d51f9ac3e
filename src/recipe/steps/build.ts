// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { buildEngine } from "../../engine/index.js";
import { parseFields } from "../../model/parse-fields.js";
import { fieldsOf, stepKind } from "../step-kind.js";

const schema = z.strictObject({
  model: z.string().min(1),
  /** Default: int8-w8a8; of a quantized model, what its weights are. */
  weights: z.string().optional(),
  /** Pattern to format; the last match wins. */
  overrides: z.record(z.string(), z.string()).default({}),
  rotation: z.boolean().optional(),
});

/** An engine. */
export const buildStep = stepKind({
  verb: "build",
  options: fieldsOf(schema),
  paths: { model: ["model"] },
  makes: "engine",
  parse: (options) => parseFields(schema, options, { code: "ERR_ARGUMENT", where: "build" }),
  run: async ({ model, weights, overrides, rotation }, { directory, signal, onProgress }) => {
    const report = await buildEngine(model, directory, {
      ...(weights === undefined ? {} : { weights }),
      overrides,
      ...(rotation === undefined ? {} : { rotation }),
      ...(signal === undefined ? {} : { signal }),
      onProgress: (event) => onProgress({ verb: "build", event }),
    });
    return { product: directory, outcome: report };
  },
});
