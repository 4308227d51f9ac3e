// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { parseFields } from "../../model/parse-fields.js";
import { pull } from "../../pull/index.js";
import { fieldsOf, stepKind } from "../step-kind.js";

const schema = z.strictObject({
  /** "org/name", "org/name@revision" or "smollm2". */
  model: z.string().min(1),
});

/** A model of the hub, in its cache. */
export const pullStep = stepKind({
  verb: "pull",
  options: fieldsOf(schema),
  paths: {},
  makes: "model",
  parse: (options) => parseFields(schema, options, { code: "ERR_ARGUMENT", where: "pull" }),
  run: async ({ model }, { signal, onProgress }) => {
    const result = await pull(model, {
      ...(signal === undefined ? {} : { signal }),
      onProgress: (event) => onProgress({ verb: "pull", event }),
    });
    return { product: result.path, outcome: result };
  },
});
