import fc from "fast-check";
import { EspalierError } from "../../../src/errors.js";
import { TokenizerCore } from "../../../src/tokenizer/core.js";
import { tokenizerFilesFromGguf } from "../../../src/tokenizer/index.js";
import { tinyByteLevel, tinySentencePiece } from "./tiny-tokenizer.js";

type Json = unknown;

/** Every place inside a document, as paths of keys. */
function places(value: Json, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [path];
  const keys = Array.isArray(value) ? [...value.keys()].slice(0, 8) : Object.keys(value).slice(0, 12);
  return [path, ...keys.flatMap((key) => places((value as Record<string | number, Json>)[key], [...path, key]))];
}

function replace(value: Json, [key, ...rest]: (string | number)[], by: Json): Json {
  if (key === undefined) return by;
  const copy = (Array.isArray(value) ? [...(value as Json[])] : { ...(value as object) }) as Record<
    string | number,
    Json
  >;
  copy[key] = replace(copy[key], rest, by);
  return copy;
}

/** Loads, encodes and decodes; a coded error is a fine outcome, anything else thrown is not. */
function tryOut(tokenizerJson: Json): void {
  try {
    const parts = { tokenizerJson, tokenizerConfig: { bos_token: "<s>" }, generationEos: [2, "x"] };
    const core = new TokenizerCore({ ...parts, templates: new Map<string, string>(), where: "mutated" });
    const ids = core.encode(" hello ab <tool></s> é😀\n", true);
    core.decode(ids, false);
  } catch (error) {
    if (!(error instanceof EspalierError) || error.code === "ERR_INTERNAL") throw error;
  }
}

describe("damaged tokenizer.json", () => {
  it.each([
    ["byte level", tinyByteLevel().tokenizerJson],
    ["SentencePiece", tokenizerFilesFromGguf(tinySentencePiece()).tokenizerJson],
  ])("%s: loads, or says what is wrong", (_name, json) => {
    tryOut(json);
    tryOut(replace(json, ["model", "type"], { toString: null }));
    const anywhere = fc.constantFrom(...places(json));
    const anything = fc.oneof(
      fc.constantFrom(null, undefined, "", "<s>", "BPE", "Sequence", "▁", -1, 0, 0.5, 1e9, NaN, true, [], {}, [[]]),
      fc.jsonValue({ maxDepth: 2 }),
    );
    fc.assert(
      fc.property(anywhere, anything, anywhere, anything, (first, a, second, b) => {
        const once = replace(json, first, a);
        tryOut(once);
        if (second.length < first.length || second[0] !== first[0]) tryOut(replace(once, second, b));
      }),
      { numRuns: 1000 },
    );
  });
});
