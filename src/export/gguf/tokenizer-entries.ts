// SPDX-License-Identifier: Apache-2.0
/** The tokenizer.* keys of a GGUF file, from whatever files the model came with. */
import { dirname } from "node:path";
import type { GgufEntry, ScalarTypeName } from "../../checkpoint/gguf-types.js";
import type { Checkpoint, GgufValue } from "../../checkpoint/types.js";
import { tokenTypes } from "../../tokenizer/gguf-tokens.js";
import { tokenizerToGguf } from "../../tokenizer/index.js";

export async function tokenizerEntries(
  { spec, tokenizerFiles }: Checkpoint,
  pre: string | undefined,
): Promise<GgufEntry[]> {
  const { bosTokenId, eosTokenIds, padTokenId } = spec;
  const { gguf, tokenizerJson } = tokenizerFiles;
  if (tokenizerJson !== undefined)
    return tokenizerToGguf(dirname(tokenizerJson), {
      vocabSize: spec.vocabSize,
      pre,
      bosTokenId,
      eosTokenIds,
      padTokenId,
    });
  if (gguf !== undefined && Object.hasOwn(gguf, "tokenizer.ggml.model"))
    return Object.entries(gguf).map(([key, value]) => entryOf(key, value));
  const ids = { bos: bosTokenId, eos: eosTokenIds[0], eot: eosTokenIds[1], padding: padTokenId };
  const given = Object.entries(ids).filter((row): row is [string, number] => typeof row[1] === "number");
  return [
    { key: "tokenizer.ggml.model", type: "string", value: "none" },
    ...given.map(([name, value]): GgufEntry => ({ key: `tokenizer.ggml.${name}_token_id`, type: "u32", value })),
  ];
}

/** What llama.cpp cannot do with these keys. */
export function tokenizerWarnings(entries: readonly GgufEntry[]): string[] {
  const find = (name: string): GgufEntry | undefined => entries.find(({ key }) => key === `tokenizer.ggml.${name}`);
  const [model, types] = [find("model"), find("token_type")];
  const kind = model?.type === "string" ? model.value : "none";
  if (kind === "none") return ["the model has no tokenizer: the file takes and gives ids only"];
  const hasBytes = types?.type !== "array" || types.values.includes(tokenTypes.byte);
  if (kind !== "llama" || hasBytes) return [];
  return ["the vocabulary has no tokens for bytes: llama.cpp stops at characters that it does not hold"];
}

/** Types of arrays that their values do not show. */
const elements: Readonly<Record<string, ScalarTypeName>> = {
  "tokenizer.ggml.scores": "f32",
  "tokenizer.ggml.token_type": "i32",
  "tokenizer.ggml.precompiled_charsmap": "u8",
};

/** A key of another GGUF file, whose type is known by its value. */
function entryOf(key: string, value: GgufValue): GgufEntry {
  if (!Array.isArray(value)) return { key, type: typeOf([value], "u32"), value };
  return { key, type: "array", element: elements[key] ?? typeOf(value, "i32"), values: value };
}

function typeOf(values: readonly (number | bigint | boolean | string)[], whole: ScalarTypeName): ScalarTypeName {
  const first = values[0];
  if (first === undefined || typeof first === "string") return "string";
  if (typeof first === "boolean") return "bool";
  if (values.some((value) => typeof value === "bigint")) return "u64";
  if (values.some((value) => !Number.isInteger(value))) return "f32";
  return values.some((value) => Number(value) < 0) ? "i32" : whole;
}
