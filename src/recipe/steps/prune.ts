// SPDX-License-Identifier: Apache-2.0
import { prune, pruneOptionNames, resolvePruneOptions, type PruneOptions } from "../../prune/index.js";
import { EspalierError } from "../../errors.js";
import { stepKind } from "../step-kind.js";

/** Those that only count or list have no place in a recipe. */
const NOT_HERE = new Set(["out", "configOnly", "dryRun", "listCandidates"]);

/** A smaller model. */
export const pruneStep = stepKind({
  verb: "prune",
  options: pruneOptionNames.filter((name) => !NOT_HERE.has(name)),
  paths: ["model", "importance"],
  words: ["random", "magnitude"],
  parse: (given, directory) => {
    const options = { ...given, dropLayers: layerList(given["dropLayers"]), out: directory } as PruneOptions;
    if (options.dropLayers === undefined) delete options.dropLayers;
    resolvePruneOptions(options);
    return options;
  },
  run: async (options, { directory, signal, onProgress }) => {
    const result = await prune(options, {
      ...(signal === undefined ? {} : { signal }),
      onProgress: (event) => onProgress({ verb: "prune", event }),
    });
    return { product: directory, outcome: result };
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
