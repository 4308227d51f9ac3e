/** Teachers in every format: quantized GGUF, float16 directories, and engines through a cache. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildEngine } from "../../../src/engine/index.js";
import { cacheTeacherLogits, distill } from "../../../src/distill/index.js";
import { exportHuggingFace, openCheckpoint } from "../../../src/checkpoint/index.js";
import { train } from "../../../src/train/index.js";
import { compareElements } from "../../compare.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { metricsOf } from "../train/fixtures.js";
import { tinyFields, writeTokenData } from "../train/token-data.js";

const root = temporaryDirectory();
const gguf = (name: string): string => join(__dirname, "../../fixtures/gguf", `${name}.gguf`);
const shared = {
  steps: 4,
  globalBatch: 4,
  seqLength: 16,
  limitValBatches: 1,
  valCheckInterval: 4,
  threads: 2,
} as const;
let data: string;

beforeAll(async () => {
  data = await writeTokenData(root);
});

async function studentOf(vocabSize: number): Promise<string> {
  const config = { ...tinyFields, vocab_size: vocabSize };
  const out = join(root, `student ${vocabSize}`);
  return (await train({ ...shared, config, data, steps: 1, limitValBatches: 0, out })).model;
}

const lossesOf = (run: string): number[] => metricsOf(run).map((line) => line.logits_loss!);

describe.each([
  ["Q4_1 GGUF", (): Promise<string> => Promise.resolve(gguf("tiny-q4_1-bias"))],
  ["Q8_0 GGUF", (): Promise<string> => Promise.resolve(gguf("tiny-q8_0-tied"))],
  [
    "float16 directory",
    async (): Promise<string> => {
      const out = join(root, "teacher f16");
      await using model = await openCheckpoint(gguf("tiny-q4_0"));
      await exportHuggingFace(model, out, { dtype: "f16" });
      return out;
    },
  ],
])("a teacher that is a %s", (name, make) => {
  it("is learned from, itself and through a cache", async () => {
    const teacher = await make();
    const { vocabSize } = await (async () => {
      await using model = await openCheckpoint(teacher);
      return model.spec;
    })();
    const student = await studentOf(vocabSize);
    const common = { ...shared, data, student, loss: "logits", lr: 1e-2 } as const;
    const [direct, cached] = [join(root, `${name} direct`), join(root, `${name} cached`)];
    await distill({ ...common, teacher, topK: 20, out: direct });
    const cacheTeacher = join(root, `${name} logits`);
    await distill({ ...common, teacher, cacheTeacher, cacheTopK: 20, out: cached });
    expect(lossesOf(direct)[3]).toBeLessThan(lossesOf(direct)[0]!);
    compareElements(lossesOf(cached), lossesOf(direct), 1e-5, 1e-4, name);
  });
});

describe("an engine as the teacher", () => {
  let model: string;
  const engineOf = async (weights: string): Promise<string> => {
    const out = join(root, `engine ${weights}`);
    await buildEngine(model, out, { weights });
    return out;
  };

  beforeAll(async () => {
    const run = {
      ...shared,
      config: tinyFields,
      data,
      steps: 60,
      lr: 1e-2,
      limitValBatches: 0,
      out: join(root, "teacher"),
    };
    model = (await train(run)).model;
  });

  it("gives the logits it computes, near those of its model", async () => {
    const options = { ...shared, data, cacheTopK: 8 };
    const whole = join(root, "logits of the model");
    const { coverage } = await cacheTeacherLogits({ ...options, teacher: model, cacheTeacher: whole });
    const student = await studentOf(tinyFields.vocab_size);
    const run = { ...shared, data, student, loss: "logits", lr: 1e-2 } as const;
    await distill({ ...run, cacheTeacher: whole, out: join(root, "from the model") });
    for (const [weights, tolerance] of [
      ["f32", 1e-4],
      ["int8-w8a8", 0.05],
    ] as const) {
      const cacheTeacher = join(root, `logits of ${weights}`);
      const teacher = await engineOf(weights);
      const report = await cacheTeacherLogits({ ...options, teacher, cacheTeacher });
      expect(Math.abs(report.coverage.mean - coverage.mean)).toBeLessThan(tolerance);
      const out = join(root, `from ${weights}`);
      await distill({ ...run, teacher, cacheTeacher, out });
      compareElements(lossesOf(out), lossesOf(join(root, "from the model")), tolerance, tolerance, weights);
      const { teacher: named } = JSON.parse(readFileSync(join(out, "model", "espalier.json"), "utf8")) as {
        teacher: { name: string };
      };
      expect(named.name).toBe(`engine ${weights}`);
    }
  });

  it("is refused without a cache, and where attention begins anew inside a sample", async () => {
    const teacher = await engineOf("int8");
    const student = await studentOf(tinyFields.vocab_size);
    const run = { ...shared, data, student, teacher, out: join(root, "refused") };
    await expect(distill(run)).rejects.toThrow(
      expect.objectContaining({ code: "ERR_ARGUMENT", hint: expect.stringContaining("--cache-teacher DIR") as string }),
    );
    const anew = { ...shared, data, teacher, resetAttention: true, cacheTeacher: join(root, "anew") };
    await expect(cacheTeacherLogits(anew)).rejects.toThrow(coded("ERR_ARGUMENT", "takes each sample for one text"));
    const long = { ...shared, data, teacher, seqLength: 65, cacheTeacher: join(root, "long") };
    await expect(cacheTeacherLogits(long)).rejects.toThrow(coded("ERR_ARGUMENT", "at most the 64 positions"));
  });
});
