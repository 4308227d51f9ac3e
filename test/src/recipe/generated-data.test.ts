/** A recipe whose teacher writes the data, keeps its logits, and is then needed no more. */
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compress, type CompressResult } from "../../../src/recipe/index.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

const root = temporaryDirectory();
const path = join(root, "recipe.yaml");
const logits = join(root, "logits");
const run = "steps: 2, global_batch: 2, seq_length: 24, limit_val_batches: 0, threads: 2, split: '100,0,0'";
const text = (count: number): string => `
steps:
  written:
    synthesize: { teacher: $bundled-teacher, weights: int8, count: ${count}, max_tokens: 24, min_tokens: 8, context_tokens: 64 }
  data:
    tokenize: { inputs: $written, tokenizer: $bundled-teacher, append_eod: true }
  pruned:
    prune: { model: $bundled-teacher, importance: magnitude, ffn: 50% }
  student:
    distill: { teacher: $bundled-teacher, student: $pruned, data: $data, cache_teacher: "${logits}", cache_top_k: 8, ${run} }
`;

const statuses = ({ steps }: CompressResult): string => steps.map(({ status }) => status[0]).join("");

it("goes from nothing but a teacher to a student, and keeps what has not changed", async () => {
  writeFileSync(path, text(8));
  const out = join(root, "run");
  const kinds = new Set<string>();
  const result = await compress(
    { recipe: path, out },
    {
      onProgress: (told) =>
        told.kind === "step" && kinds.add(`${told.verb} ${"kind" in told.event ? told.event.kind : ""}`),
    },
  );
  expect(statuses(result)).toBe("dddd");
  expect([...kinds]).toEqual(
    expect.arrayContaining(["synthesize text", "distill cachePlan", "distill cache", "distill step"]),
  );
  expect(readdirSync(join(out, "written"))).toEqual(["data.jsonl"]);
  expect(readFileSync(join(out, "written", "data.jsonl"), "utf8").split("\n")).toHaveLength(9);
  expect(existsSync(join(logits, "teacher-logits.json"))).toBe(true);
  expect(statuses(await compress({ recipe: path, out }))).toBe("cccc");
  writeFileSync(path, text(9));
  await expect(compress({ recipe: path, out })).rejects.toThrow(
    coded("ERR_TEACHER_LOGITS", "data: the logits were made"),
  );
});

it("refuses what synthesize would refuse before anything runs", async () => {
  writeFileSync(path, text(0));
  await expect(compress({ recipe: path, out: join(root, "refused") })).rejects.toThrow(
    coded("ERR_ARGUMENT", 'step "written": synthesize: count'),
  );
  writeFileSync(path, text(8).replace("max_tokens", "max_tokns"));
  await expect(compress({ recipe: path, out: join(root, "refused") })).rejects.toThrow(
    coded("ERR_RECIPE", "maxTokens"),
  );
});
