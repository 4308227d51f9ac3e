/** A teacher is trained, measured, pruned and distilled: the chain through the public API and the command line. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspectModel } from "../../../src/checkpoint/index.js";
import { trainOptionsOf } from "../../../src/distill/distill.js";
import { distill } from "../../../src/distill/index.js";
import { loadImportance, measureImportance, readManifest } from "../../../src/importance/index.js";
import { defaultAggregation, parseAggregation } from "../../../src/importance/aggregate.js";
import { prune } from "../../../src/prune/index.js";
import { train } from "../../../src/train/index.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier } from "../cli/run.js";
import { checkMarkup } from "../report/check-markup.js";
import { tinyFields, writeTokenData } from "../train/token-data.js";

const root = temporaryDirectory();
const scores = join(root, "scores");
let data: string;
let teacher: string;

beforeAll(async () => {
  data = await writeTokenData(root);
  const config = { ...tinyFields, num_hidden_layers: 4 };
  const shared = { steps: 120, globalBatch: 8, seqLength: 32, limitValBatches: 4, saveInterval: 1000 };
  teacher = (await train({ config, data, ...shared, lr: 1e-2, out: join(root, "teacher"), split: "90,10,0" })).model;
});

describe("importance", () => {
  it("writes scores that prune takes for any target", async () => {
    const kinds = new Set<string>();
    const report = await measureImportance(
      { model: teacher, data, samples: 24, seqLength: 32, layerBlocks: [1, 2], lossSamples: 8, out: scores },
      { onProgress: ({ kind }) => kinds.add(kind) },
    );
    expect([...kinds]).toEqual(["indexing", "plan", "pass", "losses"]);
    expect(report.blockImportance.all).toHaveLength(4);
    const manifest = await readManifest(scores);
    expect(manifest).toMatchObject({ samples: 24, seqLength: 32, loss: { samples: 8, tokens: 256 } });
    expect(manifest.loss.without.map(({ losses }) => losses.length)).toEqual([4, 3]);
    for (const { losses } of manifest.loss.without)
      for (const loss of losses) expect(loss).toBeGreaterThan(manifest.loss.whole! - 0.05);
    const loaded = await loadImportance(scores, defaultAggregation);
    expect(loaded.ffn.map((row) => row.length)).toEqual([64, 64, 64, 64]);
    expect([...loaded.hidden].every((score) => score > 0)).toBe(true);
    const { shape } = await prune({ model: teacher, importance: scores, ffn: 32, heads: 2, out: join(root, "width") });
    expect(shape).toMatchObject({ ffn: 32, heads: 2, hidden: 32, layers: 4 });
    const depth = await prune({ model: teacher, importance: scores, layers: 2, out: join(root, "depth") });
    expect(depth.droppedLayers).toHaveLength(2);
    const other = { aggregate: "mean,var", skipFirstPosition: true, layerMethod: "contiguous-loss" } as const;
    await prune({ model: teacher, importance: scores, layers: 2, ...other, out: join(root, "depth-2") });
  });

  it("goes on after it was stopped", async () => {
    const options = { model: teacher, data, samples: 24, seqLength: 32, layerBlocks: [1], out: join(root, "stopped") };
    const stop = new AbortController();
    const hooks = {
      signal: stop.signal,
      onProgress: ({ kind }: { kind: string }) => kind === "losses" && stop.abort(),
    };
    await expect(measureImportance(options, hooks)).rejects.toThrow(coded("ERR_ABORTED"));
    expect(existsSync(options.out)).toBe(false);
    await measureImportance(options);
    const [one, two] = [scores, options.out].map((path) => readFileSync(join(path, "scores.safetensors")));
    expect(one!.equals(two!)).toBe(true);
  });

  it("is left alone by a second one on the same output", async () => {
    const options = { model: teacher, data, samples: 24, seqLength: 32, out: join(root, "twice") };
    let second: Promise<unknown> | undefined;
    await measureImportance(options, {
      onProgress: ({ kind }) => {
        if (kind === "pass") second ??= measureImportance(options).catch((error: unknown) => error);
      },
    });
    expect(await second).toEqual(expect.objectContaining({ code: "ERR_RUN_BUSY" }));
    const [one, two] = [scores, options.out].map((path) => readFileSync(join(path, "scores.safetensors")));
    expect(one!.equals(two!)).toBe(true);
    expect(readdirSync(root).filter((name) => name.includes("twice"))).toEqual(["twice"]);
  });

  it("prints one JSON document on the command line", async () => {
    const out = join(root, "printed");
    const sizes = ["--samples", "4", "--seq-length", "16", "--loss-samples", "2"];
    const { status, stdout } = await espalier([
      "importance",
      teacher,
      "--data",
      data,
      ...sizes,
      "--out",
      out,
      "--json",
    ]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ directory: out, samples: 4, loss: { samples: 2 } });
  });

  it("draws a page beside the scores, and again without another pass", async () => {
    const out = join(root, "drawn");
    const shared = { model: teacher, data, samples: 4, seqLength: 16, lossSamples: 2 };
    const { loss } = await measureImportance({ ...shared, plot: true, out });
    expect(loss.without.map(({ size }) => size)).toEqual([1, 2]); // of 1, 2, 8 and half of four layers
    const page = readFileSync(join(out, "report.html"), "utf8");
    checkMarkup(page);
    expect(page).toContain("without 2 layers");
    const again = join(root, "drawn.html");
    const { status, stderr } = await espalier(["report", out, "--out", again]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const undated = (html: string): string => html.replace(/\d{4}-\d\d-\d\d( \d\d:\d\d)?/g, "");
    expect(undated(readFileSync(again, "utf8"))).toBe(undated(page));
    const two = await espalier(["report", out, out, "--out", again]);
    expect(two).toMatchObject({ status: 2, stderr: expect.stringContaining("one directory of scores") as string });
  });

  it.each([
    ["sequences longer than the model's", { seqLength: 65 }, "seqLength: expected at most the 64 positions"],
    ["a block of all layers", { layerBlocks: [4] }, "layerBlocks: expected blocks of fewer than the 4 layers, found 4"],
    ["no samples", { samples: 0 }, "found 0"],
    ["an unknown option", { sample: 3 }, "sample"],
  ])("refuses %s", async (_what, change, message) => {
    const options = { model: teacher, data, seqLength: 32, out: join(root, "refused"), ...change };
    await expect(measureImportance(options)).rejects.toThrow(coded("ERR_ARGUMENT", message));
    expect(existsSync(options.out)).toBe(false);
  });

  it("prune refuses what is no directory of scores, and scores of another model", async () => {
    const pruned = (importance: string, more = {}) =>
      prune({ model: teacher, importance, ffn: 32, dryRun: true, ...more });
    await expect(pruned(join(root, "nothing"))).rejects.toThrow(
      coded("ERR_ARGUMENT", "a directory that importance made"),
    );
    await expect(pruned(root)).rejects.toThrow(coded("ERR_IMPORTANCE_SCORES"));
    await expect(pruned(scores, { aggregate: "l2" })).rejects.toThrow(coded("ERR_ARGUMENT", "two of mean, l2 and var"));
    await expect(pruned(scores, { model: join(root, "width") })).rejects.toThrow(coded("ERR_PRUNE_SCORES"));
    expect(parseAggregation(" var , mean ", false)).toEqual({ batch: "var", sequence: "mean", firstPosition: false });
  });
});

describe("distill", () => {
  const run = { steps: 60, globalBatch: 8, seqLength: 32, limitValBatches: 4, split: "90,10,0" } as const;

  it("brings a pruned student nearer to its teacher, and is a run like any other", async () => {
    const out = join(root, "distilled");
    const options = ["--teacher", teacher, "--student", join(root, "depth"), "--data", data, "--out", out, "--json"];
    const numbers = [
      "--steps",
      "60",
      "--global-batch",
      "8",
      "--seq-length",
      "32",
      "--lr",
      "3e-3",
      "--split",
      "90,10,0",
    ];
    const { status, stdout, stderr } = await espalier([
      "distill",
      ...options,
      ...numbers,
      "--val-check-interval",
      "30",
    ]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.any(String) as string });
    const losses = readFileSync(join(out, "metrics.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(losses.at(-1).logits_loss).toBeLessThan(losses[0].logits_loss / 2);
    // half of the layers went: hidden states are compared as well
    expect(losses[0].intermediate_loss).toBeGreaterThan(0);
    const { model } = JSON.parse(stdout) as { model: string };
    expect((await inspectModel(model)).spec.numLayers).toBe(2);
  });

  it("compares hidden states by the depth that was cut, unless told otherwise", async () => {
    const base = { teacher, data, out: "run", ...run };
    const width = await trainOptionsOf({ ...base, student: join(root, "width") });
    expect(width).toMatchObject({ model: join(root, "width"), lr: 1e-4, minLr: 1e-5, warmup: 6 });
    expect(width.intermediateLoss).toBeUndefined();
    const depth = { ...base, student: join(root, "depth") };
    expect((await trainOptionsOf(depth)).intermediateLoss).toBe("cosine");
    expect((await trainOptionsOf({ ...depth, loss: "logits" })).intermediateLoss).toBeUndefined();
    expect((await trainOptionsOf({ ...depth, lr: 1e-3, steps: 1000 })).minLr).toBeUndefined();
    expect((await trainOptionsOf({ ...depth, steps: 1000 })).warmup).toBe(40);
  });

  it("refuses another vocabulary, a policy that is none, and train's own models", async () => {
    const config = { ...tinyFields, vocab_size: 40 };
    const shared = { data, steps: 1, globalBatch: 1, seqLength: 8, limitValBatches: 0 };
    const other = (await train({ config, ...shared, out: join(root, "other") })).model;
    const base = { teacher, data, out: join(root, "refused"), ...run };
    await expect(distill({ ...base, student: other })).rejects.toThrow(
      coded("ERR_ARGUMENT", "vocabulary of 40, found 32"),
    );
    const bad = { ...base, student: join(root, "width"), loss: "hidden" as "auto" };
    await expect(distill(bad)).rejects.toThrow(coded("ERR_ARGUMENT", "loss"));
    const model = { ...base, student: join(root, "width"), model: teacher };
    await expect(distill(model)).rejects.toThrow(coded("ERR_ARGUMENT", "student and teacher only"));
    writeFileSync(join(root, "empty"), "");
    await expect(distill({ ...base, student: join(root, "empty") })).rejects.toThrow();
  });
});
