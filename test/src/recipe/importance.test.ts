/** Options of recipes that become others: tasks of importance, Model Optimizer's megabytes. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { compress } from "../../../src/recipe/index.js";
import { readRecipe } from "../../../src/recipe/recipe-file.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { writeModel } from "../prune/fixtures.js";
import { writeTokenData } from "../train/token-data.js";

const root = temporaryDirectory();
const path = join(root, "recipe.yaml");
const out = join(root, "run");

it("importance takes tasks as evaluate does", async () => {
  const file = join(root, "arc.jsonl");
  const model = writeModel(join(root, "model"));
  const data = await writeTokenData(root, 20);
  const step = (tasks: string): string =>
    `steps: { scores: { importance: { model: ${model}, data: ${data}, tasks: ${tasks} } } }`;
  writeFileSync(path, step(`{ arc_easy: ${file} }`));
  await expect(compress({ recipe: path, out })).rejects.toThrow(coded("ERR_RECIPE", "tasks", file));
  writeFileSync(file, "{}");
  const { steps } = await compress({ recipe: path, out, dryRun: true });
  expect(steps).toMatchObject([{ name: "scores", status: "run" }]);
  writeFileSync(path, step("3"));
  await expect(compress({ recipe: path, out })).rejects.toThrow(coded("ERR_ARGUMENT", 'step "scores"', "tasks"));
});

it("Model Optimizer's megabytes are mebibytes", async () => {
  writeFileSync(path, "steps: { small: { prune: { model: M, prune_target_memory_mb: 100 } } }");
  const { steps } = await readRecipe(path);
  expect(steps).toMatchObject([{ options: { targetMemory: "100MiB" } }]);
});
