/** Recipes as they are read: what is wrong is named with file, line and the nearest known name. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readRecipe } from "../../../src/recipe/recipe-file.js";
import { lookupIn, referencesIn, resolveReferences } from "../../../src/recipe/references.js";
import { pathsIn } from "../../../src/recipe/inputs.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

const root = temporaryDirectory();

function recipe(text: string): string {
  const path = join(root, "recipe.yaml");
  writeFileSync(path, text);
  return path;
}

describe("readRecipe", () => {
  it("takes names in camel, snake and kebab case, and NeMo's", async () => {
    const path = recipe(`
title: Names
vars: { ffn: 9216 }
steps:
  small:
    prune: { model: M, ffn_hidden_size: $ffn, num_attention_heads: null, merge-heads: true }
  student:
    distill: { teacher_model: M, student_model: $small, data: D, max_steps: 5, gradientClipVal: 2 }
`);
    const { title, steps } = await readRecipe(path);
    expect(title).toBe("Names");
    expect(steps).toEqual([
      { name: "small", verb: "prune", line: 6, options: { model: "M", ffn: "$ffn", mergeHeads: true } },
      {
        name: "student",
        verb: "distill",
        line: 8,
        options: { teacher: "M", student: "$small", data: "D", steps: 5, clip: 2 },
      },
    ]);
  });

  it("lets variables be set, as YAML", async () => {
    const path = recipe("vars: { steps: 3, list: [1] }\nsteps: { a: { build: { model: M } } }");
    expect((await readRecipe(path, ["steps=7", "list=[a, b]"])).vars).toEqual({ steps: 7, list: ["a", "b"] });
    await expect(readRecipe(path, ["stesp=7"])).rejects.toThrow(coded("ERR_ARGUMENT", 'nearest is "steps"'));
    await expect(readRecipe(path, ["steps"])).rejects.toThrow(coded("ERR_ARGUMENT", "NAME=VALUE"));
  });

  it.each([
    ["no YAML", "steps: [", "not YAML"],
    ["YAML that never ends", `a: &a [x]\nb: &b [${"*a,".repeat(99)}]\nc: &c [${"*b,".repeat(99)}]`, "xcessive alias"],
    ["a list", "- a", "expected a mapping"],
    ["no steps", "title: x", "steps: expected a mapping of step names"],
    ["a list of steps", "steps: [a]", "found a list"],
    ["an unknown key", "stpes: {}", 'stpes: unknown (nearest is "steps")'],
    ["an unknown verb", "steps:\n  a:\n    distil: {}", ':3: steps.a.distil: unknown (nearest is "distill")'],
    [
      "an unknown option",
      "steps:\n  a:\n    prune:\n      fnn: 3",
      ':4: steps.a.prune.fnn: unknown (nearest is "ffn")',
    ],
    ["an option by two names", "steps: { a: { prune: { ffn: 1, ffn_hidden_size: 2 } } }", "given twice"],
    ["two verbs", "steps: { a: { prune: {}, build: {} } }", "expected one verb and its options, found 2"],
    ["a verb without options", "steps: { a: { prune: } }", "expected options"],
    ["a bad name", "steps: { 1a: { prune: {} } }", "expected a name of letters"],
    ["a name of the run's own", "steps: { report: { prune: {} } }", "expected a name of letters"],
    ["a step's name twice", "steps:\n  a: { build: { model: M } }\n  a: { build: { model: N } }", "not YAML"],
  ])("refuses %s", async (_what, text, message) => {
    await expect(readRecipe(recipe(text))).rejects.toThrow(coded("ERR_RECIPE", message));
  });

  it("refuses a file that is not there", async () => {
    await expect(readRecipe(join(root, "nothing.yaml"))).rejects.toThrow(/nothing\.yaml/);
  });
});

describe("references", () => {
  const names = new Map<string, unknown>([
    ["steps", 3],
    ["a-b", "/x"],
  ]);
  it("become values, or parts of texts", () => {
    const resolve = (value: unknown): unknown => resolveReferences(value, lookupIn(names));
    expect(resolve("$steps")).toBe(3);
    expect(resolve(["0.5 $a-b 0.5 ${a-b}/y", { deep: "$a-b" }])).toEqual(["0.5 /x 0.5 /x/y", { deep: "/x" }]);
    expect(resolve("costs $$5 or $$steps")).toBe("costs $5 or $steps");
    expect(() => resolve("$step")).toThrow('nearest is "steps"');
    expect(referencesIn(["$x $y", { z: "$x" }, 3])).toEqual(["x", "y"]);
  });

  it("paths are found in blends, lists and mappings", () => {
    expect(pathsIn("0.7 one 0.3 two", [])).toEqual(["one", "two"]);
    expect(pathsIn(["npm:pack", "file"], [])).toEqual(["file"]);
    expect(pathsIn({ piqa: "p.jsonl" }, [])).toEqual(["p.jsonl"]);
    expect(pathsIn("random", ["random"])).toEqual([]);
    expect(pathsIn(5, [])).toEqual([]);
  });
});
