/** A teacher's largest logits, cached: the loss of the teacher itself, the same bytes after a stop, and nothing of another. */
import { spawn } from "node:child_process";
import { cpSync, existsSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheTeacherLogits, distill, type CacheOptions, type CacheProgress } from "../../../src/distill/index.js";
import { train, type TrainOptions } from "../../../src/train/index.js";
import type { StepMetrics } from "../../../src/train/run-log.js";
import { compareElements } from "../../compare.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier, main } from "../cli/run.js";
import { expectExactResume, metricsOf } from "../train/fixtures.js";
import { tinyFields, writeTokenData } from "../train/token-data.js";

const VOCAB = tinyFields.vocab_size;
const root = temporaryDirectory();
const shared = { steps: 12, globalBatch: 8, microBatch: 4, seqLength: 32, threads: 2, split: "90,10,0" } as const;
const often = { limitValBatches: 1, valCheckInterval: 4, saveInterval: 5 } as const;
const cached = (name: string): string => join(root, name);
let data: string;
let teacher: string;
let student: string;
let options: Omit<CacheOptions, "cacheTeacher">;

beforeAll(async () => {
  data = await writeTokenData(root);
  const made = { data, ...shared, limitValBatches: 0, saveInterval: 1000, lr: 1e-2 };
  teacher = (await train({ ...made, config: tinyFields, steps: 60, out: join(root, "teacher") })).model;
  student = (await train({ ...made, config: tinyFields, steps: 2, seed: 7, out: join(root, "student") })).model;
  options = { teacher, data, ...shared, ...often };
  await cacheTeacherLogits({ ...options, cacheTeacher: cached("logits"), cacheTopK: 8 });
});

/** Figures of every step. */
async function curves(out: string, change: Partial<TrainOptions>): Promise<StepMetrics[]> {
  await train({ ...shared, ...often, data, model: student, lr: 1e-2, out: join(root, out), ...change });
  return metricsOf(join(root, out));
}

function expectSameCurves(found: readonly StepMetrics[], expected: readonly StepMetrics[]): void {
  const names = ["loss", "lm_loss", "logits_loss", "val_loss", "val_lm_loss", "val_logits_loss"] as const;
  for (const name of names) {
    const column = (lines: readonly StepMetrics[]): number[] => lines.flatMap((line) => line[name] ?? []);
    expect(column(expected).length).toBe(name.startsWith("val") ? 3 : 12);
    // steps of training carry what rounding makes of the sums' other order along
    compareElements(column(found), column(expected), 2e-5, 2e-4, name);
  }
}

describe("learning from cached logits", () => {
  it.each(["kl", "kl-tail", "reverse-kl", "jsd", "mse", "cosine"] as const)(
    "by %s is learning from the teacher's top k",
    async (kdLoss) => {
      const on = { kdLoss, ceWeight: 0.25, ...(/kl$|jsd/.test(kdLoss) ? { temperature: 1.5 } : {}) };
      for (const topK of kdLoss === "kl" ? [8, 5] : [8]) {
        const direct = await curves(`${kdLoss} ${topK} direct`, { ...on, topK, teacher });
        const kept = topK === 8 ? {} : { topK };
        expectSameCurves(
          await curves(`${kdLoss} ${topK} cached`, { ...on, ...kept, teacherLogits: cached("logits") }),
          direct,
        );
      }
    },
  );

  it("is learning from the whole teacher when all logits are kept", async () => {
    const { coverage, bytes } = await cacheTeacherLogits({ ...options, cacheTeacher: cached("all"), cacheTopK: VOCAB });
    expect(coverage.mean).toBeCloseTo(1, 5);
    expect(bytes).toBe((12 * 8 + 8) * (8 + 32 * (4 + 6 * VOCAB)));
    expectSameCurves(
      await curves("all cached", { teacherLogits: cached("all") }),
      await curves("all direct", { teacher }),
    );
  });

  it("is exact after it was stopped, and needs the same cache", async () => {
    const run = { ...shared, ...often, data, model: student, lr: 1e-2 };
    await expectExactResume({ ...run, teacherLogits: cached("logits") }, join(root, "resumed"));
    const out = join(root, "resumed whole");
    await expect(train({ ...run, teacherLogits: cached("all"), out })).rejects.toThrow(
      coded("ERR_TRAIN_RESUME", "teacher"),
    );
    const lineage = JSON.parse(readFileSync(join(out, "model", "espalier.json"), "utf8")) as { teacher: unknown };
    expect(lineage.teacher).toMatchObject({ name: "model", topK: 8 });
  });

  it("takes shorter runs too", async () => {
    const short = await curves("short", { teacherLogits: cached("logits"), steps: 4, limitValBatches: 1 });
    expect(short).toHaveLength(4);
  });
});

/** Bytes of every file of a cache. */
function bytesOf(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory).map((name) => [name, readFileSync(join(directory, name)).toString("base64")]),
  );
}

describe("making a cache", () => {
  it("tells what it takes before it starts, and goes on to the same bytes", async () => {
    const out = cached("stopped");
    const call = { ...options, cacheTeacher: out, cacheTopK: 8 };
    const kinds: string[] = [];
    for (const stopAt of [3, 9]) {
      const stop = new AbortController();
      let seen = 0;
      const onProgress = (event: CacheProgress): void => {
        kinds.push(event.kind);
        if (event.kind === "cachePlan")
          expect(event).toMatchObject({ samples: 96, validationSamples: 8, topK: 8, seqLength: 32 });
        if (event.kind === "cache" && ++seen === stopAt) stop.abort();
      };
      await expect(cacheTeacherLogits(call, { signal: stop.signal, onProgress })).rejects.toThrow(coded("ERR_ABORTED"));
      expect(existsSync(out)).toBe(false);
    }
    const resumed: number[] = [];
    const report = await cacheTeacherLogits(call, {
      onProgress: (event) => event.kind === "cacheResumed" && resumed.push(event.samples),
    });
    expect(resumed).toEqual([48]);
    expect(kinds.filter((kind) => kind !== "indexing").slice(0, 4)).toEqual(["cachePlan", "cache", "cache", "cache"]);
    expect(bytesOf(out)).toEqual(bytesOf(cached("logits")));
    expect(report).toMatchObject({ reused: false, topK: 8, samples: 96, validationSamples: 8 });
    expect(report.coverage.mean).toBeGreaterThan(0.5);
    expect(report.coverage.least).toBeLessThanOrEqual(report.coverage.mean);
    expect((await cacheTeacherLogits(call)).reused).toBe(true);
    expect(readdirSync(root).filter((name) => name.startsWith(".stopped"))).toEqual([]);
  });

  it("ends with the same bytes after SIGKILL", async () => {
    const numbers = { steps: 100, "global-batch": 8, "micro-batch": 1, "seq-length": 32, threads: 1 };
    const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const argsOf = (out: string): string[] => {
      const into = ["--cache-teacher", out, "--cache-only", "--cache-top-k", "4"];
      return ["distill", "--teacher", teacher, "--data", data, ...into, ...flags];
    };
    const out = cached("killed");
    const status = await new Promise((resolve) => {
      const child = spawn(process.execPath, [main, ...argsOf(out)]);
      const kill = (text: string): unknown => text.includes("teacher 0%") && child.kill("SIGKILL");
      child.stderr.setEncoding("utf8").on("data", kill);
      child.on("close", (_code, signal) => resolve(signal));
    });
    expect(status).toBe("SIGKILL");
    expect(existsSync(out)).toBe(false);
    const finished = await espalier([...argsOf(out), "--json"]);
    expect(finished).toMatchObject({ status: 0, stderr: expect.stringContaining("take 7") as string });
    expect(JSON.parse(finished.stdout)).toMatchObject({ directory: out, topK: 4, samples: 800 });
    const undisturbed = await espalier(argsOf(cached("undisturbed")));
    expect(undisturbed).toMatchObject({ status: 0, stdout: expect.stringContaining("% of its probability") as string });
    expect(bytesOf(out)).toEqual(bytesOf(cached("undisturbed")));
    const again = await espalier(argsOf(out));
    expect(again).toMatchObject({ status: 0, stdout: expect.stringContaining("is there and fits") as string });
  });

  it("refuses what does not fit on the disk, or is more than allowed", async () => {
    const call = { ...options, cacheTeacher: cached("large") };
    await expect(cacheTeacherLogits({ ...call, cacheDisk: 1000 })).rejects.toThrow(
      coded("ERR_DISK_FULL", "32 logits of each of 96 x 32 tokens take 602880 bytes, allowed are 1000 bytes"),
    );
    const huge = { ...call, steps: 10_000_000, limitValBatches: 0, seqLength: 64 };
    await expect(cacheTeacherLogits(huge)).rejects.toThrow(coded("ERR_DISK_FULL", "free are"));
    expect(readdirSync(root).filter((name) => name.includes("large"))).toEqual([]);
  });
});

describe("a cache", () => {
  const take = (change: Partial<TrainOptions>): Promise<unknown> =>
    train({
      ...{ ...shared, ...often, data, model: student, teacherLogits: cached("logits"), out: join(root, "refused") },
      ...change,
    });

  it.each([
    ["another order of the data", { seed: 5 }, "seed: the logits were made with 1234, found 5"],
    ["another split", { split: "80,20,0" }, "split: the logits were made with 90,10,0, found 80,20,0"],
    ["other lengths", { seqLength: 16 }, "seqLength: the logits were made with 32, found 16"],
    ["attention that begins anew", { resetAttention: true }, "resetAttention"],
    ["more steps", { steps: 13 }, "samples: the run takes 104, the cache has 96"],
    ["more validation", { limitValBatches: 2 }, "limitValBatches: validation takes"],
  ])("refuses %s", async (_what, change, message) => {
    // documents end with id 0 for attention that begins anew
    await expect(take(change)).rejects.toThrow(coded("ERR_TEACHER_LOGITS", message));
    expect(existsSync(join(root, "refused"))).toBe(false);
  });

  it("refuses other data, another vocabulary, another teacher and another number of logits", async () => {
    const other = temporaryDirectory();
    await expect(take({ data: await writeTokenData(other, 290) })).rejects.toThrow(
      coded("ERR_TEACHER_LOGITS", "data: the logits"),
    );
    const larger = (
      await train({
        ...shared,
        data,
        config: { ...tinyFields, vocab_size: 40 },
        steps: 1,
        limitValBatches: 0,
        out: join(root, "larger"),
      })
    ).model;
    await expect(take({ model: larger })).rejects.toThrow(
      coded("ERR_TEACHER_LOGITS", "vocabulary: the logits were made with 32, found 40"),
    );
    const make = (change: Partial<CacheOptions>) =>
      cacheTeacherLogits({ ...options, cacheTeacher: cached("logits"), ...change });
    await expect(make({ teacher: student })).rejects.toThrow(
      coded("ERR_TEACHER_LOGITS", "teacher: the logits are those of model"),
    );
    await expect(make({ cacheTopK: 9 })).rejects.toThrow(
      coded("ERR_TEACHER_LOGITS", "cacheTopK: 8 of each token are there, found 9"),
    );
    await expect(make({ seed: 5 })).rejects.toThrow(coded("ERR_TEACHER_LOGITS", "seed"));
    await expect(make({ cacheTeacher: cached("more"), cacheTopK: 33 })).rejects.toThrow(
      coded("ERR_ARGUMENT", "cacheTopK: expected at most the vocabulary of 32, found 33"),
    );
    await expect(
      distill({ ...shared, data, student: larger, teacher, cacheTeacher: cached("more"), out: "x" }),
    ).rejects.toThrow(coded("ERR_ARGUMENT", "vocabulary of 40, found 32"));
  });

  it("refuses hidden states, mft, a teacher beside it, and more logits than there are", async () => {
    await expect(take({ intermediateLoss: "mse" })).rejects.toThrow(coded("ERR_ARGUMENT", "no hidden states"));
    await expect(take({ kdLoss: "mft" })).rejects.toThrow(coded("ERR_ARGUMENT", "mft needs all"));
    await expect(take({ teacher })).rejects.toThrow(coded("ERR_ARGUMENT", "teacher, teacherLogits: expected one"));
    await expect(take({ topK: 9 })).rejects.toThrow(coded("ERR_ARGUMENT", "topK: expected at most the 8 logits"));
  });

  it("that is damaged is named, wherever the damage is", async () => {
    const copy = (change: (directory: string) => void): string => {
      rmSync(cached("damaged"), { recursive: true, force: true });
      cpSync(cached("logits"), cached("damaged"), { recursive: true });
      change(cached("damaged"));
      return cached("damaged");
    };
    const shard = (directory: string): string => join(directory, "logits-00000.bin");
    const manifest = (directory: string): string => join(directory, "teacher-logits.json");
    const refused = async (message: string, change: (directory: string) => void): Promise<void> => {
      rmSync(join(root, "refused"), { recursive: true, force: true });
      await expect(take({ teacherLogits: copy(change) })).rejects.toThrow(coded("ERR_TEACHER_LOGITS", message));
    };
    await refused("its checksum is wrong", (directory) => {
      const bytes = readFileSync(shard(directory));
      bytes[5000]! ^= 1;
      writeFileSync(shard(directory), bytes);
    });
    await expect(cacheTeacherLogits({ ...options, cacheTeacher: cached("damaged") })).rejects.toThrow(
      coded("ERR_TEACHER_LOGITS", "its checksum is wrong"),
    );
    await refused("other tokens than when it was cached", (directory) => {
      const bytes = readFileSync(shard(directory));
      bytes[0]! ^= 1;
      writeFileSync(shard(directory), bytes);
    });
    await refused(
      "expected 81848 bytes, found 100".replace("81848", String(readFileSync(shard(cached("logits"))).length)),
      (directory) => truncateSync(shard(directory), 100),
    );
    await refused("found no file", (directory) => rmSync(shard(directory)));
    await refused("expected a directory that", (directory) => rmSync(manifest(directory)));
    await refused("expected a directory that", (directory) => writeFileSync(manifest(directory), "{"));
    const edit =
      (change: object) =>
      (directory: string): void =>
        writeFileSync(
          manifest(directory),
          JSON.stringify({ ...(JSON.parse(readFileSync(manifest(directory), "utf8")) as object), ...change }),
        );
    await refused("topK", edit({ topK: 1e9 }));
    await refused("samples", edit({ samples: -1 }));
    await refused("expected", edit({ samplesPerShard: 1e15, samples: 1e15 }));
    await refused("surprise", edit({ surprise: 1 }));
  });
});

describe("distill with a cache", () => {
  it("makes it, learns from it, and lets others learn from it without the teacher", async () => {
    const cacheTeacher = cached("distilled logits");
    const common = { ...shared, ...often, data, student, lr: 1e-2, cacheTeacher };
    const kinds = new Set<string>();
    const first = await distill(
      { ...common, teacher, cacheTopK: 8, out: join(root, "first") },
      { onProgress: ({ kind }) => void kinds.add(kind) },
    );
    expect([...kinds]).toEqual(expect.arrayContaining(["cachePlan", "cache", "step"]));
    expect(bytesOf(cacheTeacher)).toEqual(bytesOf(cached("logits")));
    const second = await distill({ ...common, out: join(root, "second") });
    expect(second.loss).toBe(first.loss);
    expect((await distill({ ...common, teacher, out: join(root, "first") })).resumedFrom).toBe(12);
  });

  it("refuses what a cache cannot give", async () => {
    const common = { ...shared, data, out: join(root, "refused"), cacheTeacher: cached("logits") };
    const refused = async (change: object, message: string): Promise<void> =>
      expect(distill({ ...common, student, ...change })).rejects.toThrow(coded("ERR_ARGUMENT", message));
    await refused({ loss: "logits+intermediate" }, "cached logits have no hidden states");
    await refused({ cacheTeacher: cached("nothing") }, "expected one to make");
    await refused({ cacheTopK: 8 }, "cacheTopK: expected a teacher");
    await refused({ teacherLogits: "x" }, "teacherLogits");
    const shallow = { ...tinyFields, num_hidden_layers: 1 };
    const cut = (
      await train({ ...shared, data, config: shallow, steps: 1, limitValBatches: 0, out: join(root, "shallow") })
    ).model;
    await refused({ student: cut }, "auto compares hidden states");
    expect((await distill({ ...common, ...often, student: cut, loss: "logits", out: join(root, "cut") })).steps).toBe(
      12,
    );
    const bare = { ...shared, data, student, out: join(root, "refused") };
    await expect(distill({ ...bare, teacher, cacheTopK: 4 })).rejects.toThrow(
      coded("ERR_ARGUMENT", "expected cacheTeacher beside it"),
    );
    await expect(distill(bare)).rejects.toThrow(coded("ERR_ARGUMENT", "expected a model to learn from"));
  });
});
