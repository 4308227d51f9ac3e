// SPDX-License-Identifier: Apache-2.0
import { prune, pruneOptionNames, resolvePruneOptions, type PruneOptions } from "../../prune/index.js";
import { EspalierError } from "../../errors.js";
import { resolveSearchOptions, searchPrune, type SearchOptions } from "../../search/index.js";
import { stepKind } from "../step-kind.js";

/** Those that only count or list have no place in a recipe. */
const NOT_HERE = new Set(["out", "configOnly", "dryRun", "listCandidates"]);

type Options = PruneOptions | SearchOptions;

/** A smaller model; with `search`, the best of candidates that were distilled for a while. */
export const pruneStep = stepKind({
  verb: "prune",
  options: [...pruneOptionNames.filter((name) => !NOT_HERE.has(name)), "search"],
  paths: { model: ["model"], importance: ["scores"], "search.data": ["data", "text"] },
  makes: "model",
  nested: { search: "distill" },
  words: ["random", "magnitude"],
  parse: (given, directory): Options => {
    const { dropLayers, ...rest } = given;
    const layers = layerList(dropLayers);
    const options = { ...rest, ...(layers === undefined ? {} : { dropLayers: layers }), out: directory } as Options;
    if ("search" in options) resolveSearchOptions(options);
    else resolvePruneOptions(options);
    return options;
  },
  run: async (options, { directory, signal, onProgress }) => {
    const stop = signal === undefined ? {} : { signal };
    const outcome =
      "search" in options
        ? await searchPrune(options, { ...stop, onProgress: (event) => onProgress({ verb: "search", event }) })
        : await prune(options, { ...stop, onProgress: (event) => onProgress({ verb: "prune", event }) });
    return { product: directory, outcome };
  },
});

/** "16-31", or NeMo's list of numbers. An empty list drops none. */
function layerList(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return value;
  const numbers = Array.isArray(value) ? value : [value];
  if (numbers.every((layer) => Number.isSafeInteger(layer)))
    return numbers.length === 0 ? undefined : numbers.join(",");
  throw new EspalierError(
    "ERR_ARGUMENT",
    `prune: dropLayers: expected "16-31" or a list, found ${JSON.stringify(value)}`,
  );
}
