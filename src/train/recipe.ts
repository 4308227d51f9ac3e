// SPDX-License-Identifier: Apache-2.0
/**
 * recipe.yaml: the options of a run as resolved. A run writes it, and another can be made from it.
 */
import { stringify, parse as parseYaml } from "yaml";
import { readTextFile } from "../checkpoint/strict-json.js";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import type { ResolvedTrainOptions, TrainOptions } from "./config.js";

export const RECIPE = "recipe.yaml";

export function recipeText({ resume: _resume, overwrite: _overwrite, ...options }: ResolvedTrainOptions): string {
  return stringify({ train: options });
}

/**
 * The options that a recipe's `train` holds, as they stand there.
 * @example await train({ ...(await readTrainRecipe("runs/a/recipe.yaml")), seed: 2, out: "runs/b" });
 */
export async function readTrainRecipe(path: string): Promise<Partial<TrainOptions>> {
  const text = await readTextFile(path);
  let recipe: unknown;
  try {
    recipe = parseYaml(text);
  } catch (error) {
    throw new EspalierError("ERR_RECIPE", `${path}: not YAML: ${(error as Error).message}`, { cause: error });
  }
  if (isRecord(recipe) && isRecord(recipe["train"])) return recipe["train"];
  throw new EspalierError("ERR_RECIPE", `${path}: train: expected the options of training, found none`);
}
