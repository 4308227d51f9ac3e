/** A recipe from a teacher to a measured student: caching, changes, stops and what is refused. */
import { spawn } from "node:child_process";
import { cpSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compress, type CompressProgress, type CompressResult } from "../../../src/recipe/index.js";
import { train } from "../../../src/train/index.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier, main } from "../cli/run.js";
import { checkMarkup } from "../report/check-markup.js";
import { tinyFields, writeTokenData } from "../train/token-data.js";

const root = temporaryDirectory();
const path = join(root, "recipe.yaml");
let data: string;
let teacher: string;

const text = (distill = "steps: $steps"): string => `
title: Tiny
vars: { teacher: ${teacher}, data: ${data}, steps: 12, ffn: 32 }
steps:
  scores:
    importance: { model: $teacher, data: $data, samples: 8, seq_length: 32, loss_samples: 2 }
  pruned:
    prune: { model: $teacher, importance: $scores, ffn: $ffn }
  student:
    distill: { teacher: $teacher, student: $pruned, data: $data, ${distill}, global_batch: 4, seq_length: 32, lr: 1.0e-3, split: "90,10,0", limit_val_batches: 2, save_interval: 2 }
  engine:
    build: { model: $student, weights: int8 }
  speed:
    bench: { engines: [$teacher, $student, $engine], isl: 8, osl: 4, repeats: 1 }
`;

const statuses = ({ steps }: CompressResult): string => steps.map(({ status }) => status[0]).join("");
const weights = (run: string): Buffer => readFileSync(join(run, "student/model/model.safetensors"));

beforeAll(async () => {
  data = await writeTokenData(root);
  const shared = { steps: 20, globalBatch: 8, seqLength: 32, limitValBatches: 0, saveInterval: 1000 };
  teacher = (await train({ config: tinyFields, data, ...shared, lr: 1e-2, out: join(root, "teacher") })).model;
  writeFileSync(path, text());
  await compress({ recipe: path, out: join(root, "whole") });
});

describe("compress", () => {
  it("makes what its steps say, and a report with curves, heat maps and the table of models", () => {
    const out = join(root, "whole");
    const report = JSON.parse(readFileSync(join(out, "report.json"), "utf8")) as {
      models: { label: string; weights: string; largestBatch: number }[];
      steps: { name: string; uses: string[]; summary: string }[];
      measured: { cells: { comparison?: { baseline: string } }[] };
    };
    expect(report.models.map(({ label, weights: format }) => [label, format])).toEqual([
      ["teacher", "f32"],
      ["student", "f32"],
      ["engine", "int8"],
    ]);
    for (const { largestBatch } of report.models) expect(largestBatch).toBeGreaterThan(1);
    expect(report.steps.map(({ name, uses }) => [name, uses])).toEqual([
      ["scores", ["teacher", "data"]],
      ["pruned", ["teacher", "scores"]],
      ["student", ["pruned", "teacher", "data"]],
      ["engine", ["student"]],
      ["speed", ["teacher", "student", "engine"]],
    ]);
    expect(report.measured.cells).toHaveLength(3);
    const html = readFileSync(join(out, "report.html"), "utf8");
    checkMarkup(html);
    for (const words of [
      "Size, quality and speed",
      "Feed-forward channels",
      "Training loss",
      "What matters in teacher",
      "Lineage",
    ])
      expect(html).toContain(words);
    expect(readFileSync(join(out, "recipe.yaml"), "utf8")).toContain(`npx espalier compress ${path} --out ${out}`);
    expect(readdirSync(join(out, "speed"))).toEqual([]); // engines built for the bench are gone
  });

  it("keeps what has not changed, and runs again what a change reaches", async () => {
    const out = join(root, "changed");
    cpSync(join(root, "whole"), out, { recursive: true }); // a run can be moved
    const before = weights(out);
    expect(statuses(await compress({ recipe: path, out }))).toBe("ccccc");
    const dry = await compress({ recipe: path, out, set: ["ffn=48"], dryRun: true });
    expect(statuses(dry)).toBe("crrrr");
    const wider = await compress({ recipe: path, out, set: ["ffn=48"] });
    expect(statuses(wider)).toBe("cdddd");
    expect(weights(out).equals(before)).toBe(false);
    expect(statuses(await compress({ recipe: path, out }))).toBe("ccccc"); // taken back from RUN/replaced
    expect(weights(out).equals(before)).toBe(true);
    rmSync(join(out, "engine"), { recursive: true });
    expect(statuses(await compress({ recipe: path, out }))).toBe("cccdc");
  });

  it("goes on after a signal and after SIGKILL, to the same weights", async () => {
    const out = join(root, "stopped");
    const stop = new AbortController();
    const hooks = {
      signal: stop.signal,
      onProgress: (told: CompressProgress): void => {
        if (told.kind !== "step" || told.verb !== "distill") return;
        if (told.event.kind === "step" && told.event.step === 5) stop.abort();
      },
    };
    await expect(compress({ recipe: path, out }, hooks)).rejects.toThrow(coded("ERR_ABORTED"));
    const args = ["compress", path, "--out", out, "--json"];
    for (const words of ["going on from", "[4/5] engine: build"]) expect(await killedAt(args, words)).toBe("SIGKILL");
    const { status, stdout } = await espalier(args);
    expect(status).toBe(0);
    expect((JSON.parse(stdout) as CompressResult).steps.map(({ status: s }) => s).slice(0, 2)).toEqual([
      "cached",
      "cached",
    ]);
    expect(weights(out).equals(weights(join(root, "whole")))).toBe(true);
    expect(readdirSync(out).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it.each([
    ["a reference to nothing", "steps: $stps", 'recipe-bad.yaml:10: step "student": $stps', "ERR_RECIPE"],
    ["an option of the wrong kind", "steps: many", 'step "student": train: steps: expected number', "ERR_ARGUMENT"],
    ["options that do not go together", "steps: 3, warmup: 9", "warmup: expected at most the 3 steps", "ERR_ARGUMENT"],
  ] as const)("refuses %s before any step runs", async (_what, distill, message, code) => {
    const bad = join(root, "recipe-bad.yaml");
    writeFileSync(bad, text(distill));
    const out = join(root, "refused");
    await expect(compress({ recipe: bad, out })).rejects.toThrow(coded(code, message));
    expect(existsSync(out)).toBe(false);
  });

  it("refuses files that are not there, directories of others, and a second process", async () => {
    const out = join(root, "refused");
    await expect(compress({ recipe: path, out, set: ["data=nowhere"] })).rejects.toThrow(
      coded("ERR_RECIPE", "data: expected a file, a directory or a step, found nothing at nowhere"),
    );
    await expect(compress({ recipe: path, out: root })).rejects.toThrow(coded("ERR_OUTPUT_EXISTS"));
    await expect(compress({ recipe: path, out: path })).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", "no directory"));
    writeFileSync(join(root, "whole", ".lock"), `${process.ppid} ${(await import("node:os")).hostname()}`);
    await expect(compress({ recipe: path, out: join(root, "whole") })).rejects.toThrow(coded("ERR_RUN_BUSY"));
    rmSync(join(root, "whole", ".lock"));
  });

  it("searches among shapes, with the options of distill", async () => {
    const recipe = join(root, "search.yaml");
    const search = `{ steps: 2, candidates: 2, data: ${data}, global_batch_size: 4, seq_length: 32, split: "90,10,0" }`;
    writeFileSync(
      recipe,
      `steps:
  scores: { importance: { model: ${teacher}, data: ${data}, samples: 4, seq_length: 32, loss_samples: 0 } }
  pruned: { prune: { model: ${teacher}, importance: $scores, target_params: 70%, search: ${search} } }
`,
    );
    const { steps } = await compress({ recipe, out: join(root, "searched") });
    expect(steps[1]?.outcome).toMatchObject({ search: { steps: 2, ranking: [{}, {}] } });
    const uses = JSON.parse(readFileSync(join(root, "searched/steps/pruned.json"), "utf8")) as { uses: string[] };
    expect(uses.uses).toEqual(["scores"]);
    expect(readdirSync(join(root, "searched")).filter((name) => name.startsWith("pruned"))).toEqual(["pruned"]);
  });

  it("refuses a step's product where another kind is read", async () => {
    const recipe = join(root, "kinds.yaml");
    const steps = `{ a: { prune: { model: ${teacher}, drop_layers: 1 } }, b: { prune: { model: $a, importance: $a, ffn: 8 } } }`;
    writeFileSync(recipe, `steps: ${steps}\n`);
    await expect(compress({ recipe, out: join(root, "kinds") })).rejects.toThrow(
      coded("ERR_RECIPE", 'step "b": importance: expected scores, found step "a", which makes model'),
    );
    expect(existsSync(join(root, "kinds"))).toBe(false);
  });

  it("tells which step failed", async () => {
    const recipe = join(root, "failing.yaml");
    writeFileSync(recipe, `steps:\n  a:\n    prune: { model: ${teacher}, drop_layers: 7-9 }\n`);
    const { status, stderr } = await espalier(["compress", recipe, "--out", join(root, "failing")]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/failing\.yaml:3: step "a": prune: dropLayers/);
  });
});

/** Runs the command and kills it once standard error holds the words; the signal that ended it. */
function killedAt(args: readonly string[], words: string): Promise<NodeJS.Signals | null> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [main, ...args]);
    let told = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      told += chunk;
      if (told.includes(words)) child.kill("SIGKILL");
    });
    child.on("close", (_status, signal) => resolve(signal));
  });
}
