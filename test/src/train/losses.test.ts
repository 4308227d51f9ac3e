/** The terms of the loss as options give them. */
import { resolveTrainOptions, type TrainOptions } from "../../../src/train/index.js";
import { boundOptions } from "../../../src/train/config.js";
import { defaultLayerPairs, lossTerms } from "../../../src/train/losses.js";
import type { LossTerm } from "../../../src/train/native-trainer.js";
import { specFromConfig } from "../../../src/model/hf-config.js";
import { coded, tinyConfig } from "../../model-files.js";

const base = { model: "m", data: "d", out: "o", steps: 4 };
const specOf = (layers: number): ReturnType<typeof specFromConfig> =>
  specFromConfig({ ...tinyConfig, num_hidden_layers: layers }, "config.json");

function termsOf(options: Partial<TrainOptions>, student = 16, teacher = 32): LossTerm[] {
  const resolved = resolveTrainOptions({ ...base, ...options });
  return lossTerms(resolved, specOf(student), resolved.teacher === undefined ? null : specOf(teacher));
}

const kl = { kind: "kl", weight: 1, temperature: 1, topK: 0 };

describe("terms of the loss", () => {
  it("are the data's alone without a teacher, and the divergence alone with one", () => {
    expect(termsOf({})).toEqual([{ kind: "cross_entropy", weight: 1 }]);
    expect(termsOf({ teacher: "t" })).toEqual([{ kind: "cross_entropy", weight: 0 }, kl]);
    expect(termsOf({ teacher: "t", ceWeight: 0.5, kdWeight: 0.25 })).toEqual([
      { kind: "cross_entropy", weight: 0.5 },
      { ...kl, weight: 0.25 },
    ]);
  });

  it.each([
    ["kl", "kl"],
    ["kl-tail", "kl_tail"],
    ["reverse-kl", "reverse_kl"],
    ["mse", "logits_mse"],
    ["cosine", "logits_cosine"],
  ] as const)("compare logits by %s", (kdLoss, kind) => {
    expect(termsOf({ teacher: "t", kdLoss, temperature: 3, topK: 7 })[1]).toEqual({
      kind,
      weight: 1,
      temperature: 3,
      topK: 7,
    });
  });

  it("have the teacher's part of jsd's mixture", () => {
    expect(termsOf({ teacher: "t", kdLoss: "jsd" })[1]).toEqual({ ...kl, kind: "jsd", beta: 0.5 });
    expect(termsOf({ teacher: "t", kdLoss: "jsd", jsdBeta: 0.1 })[1]).toMatchObject({ beta: 0.1 });
  });

  it("have the threshold of the label correction", () => {
    const mft = { kind: "mft", weight: 1, temperature: 1, topK: 0 };
    expect(termsOf({ teacher: "t", kdLoss: "mft" })[1]).toEqual({ ...mft, threshold: 0.2 });
    expect(termsOf({ teacher: "t", kdLoss: "mft", mftThreshold: 0 })[1]).toEqual({ ...mft, threshold: 0 });
  });

  it("are multiplied by the temperature squared when asked to be", () => {
    const options = { teacher: "t", kdWeight: 0.5, temperature: 3, temperatureSquared: true };
    expect(termsOf(options)[1]).toEqual({ ...kl, weight: 4.5, temperature: 3 });
  });

  it.each(["mse", "cosine", "squarehead"] as const)("compare hidden states by %s", (intermediateLoss) => {
    const kind = `hidden_${intermediateLoss}`;
    const layers = [
      [-1, -1],
      [13, 29],
    ];
    expect(termsOf({ teacher: "t", intermediateLoss })).toEqual([
      { kind: "cross_entropy", weight: 0 },
      kl,
      { kind, weight: 1, layers, dynamicWeight: true },
    ]);
    const given: Partial<TrainOptions> = { intermediateWeight: 2, intermediateBalance: "static" };
    expect(termsOf({ teacher: "t", intermediateLoss, ...given, intermediateLayerPairs: [[15, 31]] })[2]).toEqual({
      kind,
      weight: 2,
      layers: [[15, 31]],
      dynamicWeight: false,
    });
  });

  it("pair all layers of models of one depth, else the embedding and the layer two before the last", () => {
    expect(defaultLayerPairs(3, 3)).toEqual([0, 1, 2].map((layer) => [layer, layer]));
    const cut = (student: number, teacher: number): unknown => defaultLayerPairs(student, teacher)[1];
    expect(cut(16, 32)).toEqual([13, 29]);
    expect(cut(2, 12)).toEqual([0, 10]);
    expect(cut(1, 6)).toEqual([0, 5]);
    expect(cut(4, 1)).toEqual([3, 0]);
  });
});

describe("options of the loss", () => {
  const teacher = "t";
  const wrong: [Partial<TrainOptions> | Record<string, unknown>, string][] = [
    [{ ceWeight: 0 }, "ceWeight"],
    [{ kdLoss: "jsd" }, "kdLoss: expected a teacher"],
    [{ temperature: 2 }, "temperature: expected a teacher"],
    [{ topK: 5 }, "topK: expected a teacher"],
    [{ temperatureSquared: true }, "temperatureSquared: expected a teacher"],
    [{ intermediateLoss: "mse" }, "intermediateLoss: expected a teacher"],
    [{ intermediateLayerPairs: [[0, 0]] }, "intermediateLayerPairs: expected a teacher"],
    [{ teacher, kdLoss: "kld" }, "kdLoss"],
    [{ teacher, intermediateLoss: "kl" }, "intermediateLoss"],
    [{ teacher, jsdBeta: 0.5 }, "jsdBeta: only kdLoss jsd"],
    [{ teacher, kdLoss: "jsd", jsdBeta: 1.5 }, "jsdBeta"],
    [{ mftThreshold: 0.2 }, "mftThreshold: expected a teacher"],
    [{ teacher, mftThreshold: 0.2 }, "mftThreshold: only kdLoss mft"],
    [{ teacher, kdLoss: "mft", mftThreshold: 1 }, "mftThreshold"],
    [{ teacher, kdLoss: "kl-tail" }, "topK: kdLoss kl-tail"],
    [{ teacherLogits: "l", kdLoss: "kl-tail", temperature: 2 }, "temperature: kl-tail of cached logits"],
    [{ teacherLogits: "l", teacher }, "teacher, teacherLogits"],
    [{ teacherLogits: "l", kdLoss: "mft" }, "mft needs all"],
    [{ teacherLogits: "l", intermediateLoss: "mse" }, "no hidden states"],
    [{ teacher, kdLoss: "cosine", temperatureSquared: true }, "temperatureSquared"],
    [{ teacher, kdWeight: 0 }, "kdWeight, ceWeight: expected one"],
    [{ teacher, intermediateWeight: 1 }, "intermediateWeight: expected intermediateLoss"],
    [{ teacher, intermediateLayerPairs: [[0, 0]] }, "intermediateLayerPairs: expected intermediateLoss"],
    [{ teacher, intermediateLoss: "mse", intermediateBalance: "logits" }, "intermediateBalance"],
    [{ teacher, intermediateLoss: "mse", kdWeight: 0 }, "intermediateBalance: dynamic"],
    [{ teacher, intermediateLoss: "mse", kdWeight: 0, intermediateWeight: 0 }, "found 0, 0 and 0"],
    [{ teacher, intermediateLoss: "mse", intermediateWeight: -1 }, "intermediateWeight"],
    [{ teacher, intermediateLoss: "mse", intermediateLayerPairs: [] }, "intermediateLayerPairs"],
    [{ teacher, intermediateLoss: "mse", intermediateLayerPairs: [[0]] }, "intermediateLayerPairs.0"],
    [{ teacher, intermediateLoss: "mse", intermediateLayerPairs: [[0, 1, 2]] }, "intermediateLayerPairs.0"],
    [{ teacher, intermediateLoss: "mse", intermediateLayerPairs: [[0, -2]] }, "intermediateLayerPairs.0.1"],
    [{ teacher, intermediateLoss: "mse", intermediateLayerPairs: [[0.5, 1]] }, "intermediateLayerPairs.0.0"],
    [{ teacher, intermediateLoss: "mse", intermediateLayerPairs: [[16, 1]] }, "found 16:1"],
    [{ teacher, intermediateLoss: "mse", intermediateLayerPairs: [[0, 32]] }, "-1:-1 to 15:31, found 0:32"],
  ];
  it.each(wrong)("%j is refused", (options, text) => {
    expect(() => termsOf(options)).toThrow(coded("ERR_ARGUMENT", text));
  });

  it("need no weight of the logits when hidden states have one of their own", () => {
    const terms = termsOf({ teacher, intermediateLoss: "mse", intermediateBalance: "static", kdWeight: 0 });
    expect(terms.map(({ weight }) => weight)).toEqual([0, 0, 1]);
  });

  it("are the same when given again as they were resolved", () => {
    for (const options of [
      {},
      { teacher },
      { teacher, kdLoss: "mft" },
      { teacher, kdLoss: "jsd", intermediateLoss: "cosine", temperatureSquared: true },
    ]) {
      const resolved = resolveTrainOptions({ ...base, ...options });
      expect(resolveTrainOptions(resolved)).toEqual(resolved);
    }
  });

  it("let runs go on that began before there were others than kl", () => {
    const names = Object.entries(boundOptions(resolveTrainOptions({ ...base, teacher })));
    const bound = names.flatMap(([name, value]) => (value === undefined ? [] : [name]));
    expect(bound.filter((name) => /kd|squared|jsd|mft|intermediate/i.test(name))).toEqual(["kdWeight"]);
    const other = boundOptions(resolveTrainOptions({ ...base, teacher, kdLoss: "jsd", intermediateLoss: "mse" }));
    expect(other).toMatchObject({ kdLoss: "jsd", jsdBeta: 0.5, intermediateLoss: "mse", intermediateWeight: 1 });
  });
});
