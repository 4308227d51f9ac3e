// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { tokenizeCorpus } from "../../data/index.js";
import { parseFields } from "../../model/parse-fields.js";
import { fieldsOf, stepKind } from "../step-kind.js";

const text = z.string().min(1);
const oneOrMore = z
  .union([text, z.array(text).min(1)])
  .transform((value) => (typeof value === "string" ? [value] : value));

const schema = z.strictObject({
  inputs: oneOrMore,
  tokenizer: text,
  exclude: oneOrMore.optional(),
  jsonKey: text.optional(),
  splitOn: z.enum(["file", "lines", "blank-lines"]).optional(),
  appendEod: z.boolean().optional(),
  eodToken: text.optional(),
  addSpecialTokens: z.boolean().optional(),
  prefix: text.optional(),
  maxBadLines: z.number().int().min(0).optional(),
  workers: z.number().int().min(1).optional(),
});

/** Token files of a corpus. */
export const tokenizeStep = stepKind({
  verb: "tokenize",
  options: fieldsOf(schema),
  paths: { inputs: ["text"], tokenizer: ["model", "engine"] },
  makes: "data",
  parse: (options) => parseFields(schema, options, { code: "ERR_ARGUMENT", where: "tokenize" }),
  run: async (options, { directory, signal, onProgress }) => {
    const report = await tokenizeCorpus({
      ...defined(options),
      inputs: options.inputs,
      tokenizer: options.tokenizer,
      out: directory,
      ...(signal === undefined ? {} : { signal }),
      onProgress: (event) => onProgress({ verb: "tokenize", event }),
    });
    return { product: directory, outcome: report };
  },
});

type Defined<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

function defined<T extends object>(options: T): Defined<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Defined<T>;
}
