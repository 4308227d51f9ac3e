import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openCheckpoint, readTensor } from "../../../src/checkpoint/index.js";
import { parameterCount } from "../../../src/model/families.js";
import { prune } from "../../../src/prune/index.js";
import { coded, type Json } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { largestDifference, someIds, tinyLlama } from "../engine/fixtures.js";
import { random } from "../train/toy-trainer.js";
import { headRows, logitsOf, scoresOf, slicedByHand, smallConfig, top, valuesOf, writeModel } from "./fixtures.js";

/** Leaving terms of value 0 out only changes the order of float32 sums. */
const REGROUPING_BOUND = 2e-5;

const gguf = join(__dirname, "../../fixtures/gguf");
const root = temporaryDirectory();
let count = 0;
const fresh = (): string => join(root, `m${count++}`);
const json = (path: string): Json => JSON.parse(readFileSync(path, "utf8")) as Json;
const ids = someIds(12, 32);

let small: string;
beforeAll(() => {
  small = writeModel(fresh());
});

describe("with everything kept", () => {
  it.each([
    tinyLlama("bias-v4"),
    tinyLlama("tied-gqa4-v5"),
    join(gguf, "tiny-q4_1-bias.gguf"),
    join(gguf, "tiny-q8_0-tied.gguf"),
  ])("%s keeps every value", async (model) => {
    await using source = await openCheckpoint(model);
    const { intermediateSize: ffn, hiddenSize: hidden, numHeads: heads, numLayers: layers } = source.spec;
    const out = fresh();
    const result = await prune({ model, importance: "random", ffn, hidden, heads, layers, dtype: "f32", out });
    expect(result.parameters).toBe(result.sourceParameters);
    expect(result.droppedLayers).toEqual([]);
    await using copy = await openCheckpoint(out);
    expect(copy.spec).toEqual(source.spec);
    expect(await valuesOf(copy)).toEqual(await valuesOf(source));
  });

  it("logits are identical", async () => {
    const out = fresh();
    await prune({ model: small, ffn: 20, out });
    expect(await logitsOf(out, ids)).toEqual(await logitsOf(small, ids));
  });
});

describe("logits equal those of the masked model", () => {
  it("whose pruned neurons are zero", async () => {
    const scores = await scoresOf(small);
    const out = fresh();
    await prune({ model: small, importance: scores, ffn: 13, out });
    const masked = writeModel(fresh(), smallConfig, 1, (values, { role, layer, shape }) => {
      if (role !== "gate_proj" && role !== "up_proj") return;
      const kept = new Set(top(scores.ffn[layer!]!, 13));
      const width = shape[1] ?? 1;
      values.forEach((_, i) => (values[i]! *= kept.has(Math.floor(i / width)) ? 1 : 0));
    });
    const expected = await logitsOf(masked, ids);
    expect(largestDifference(await logitsOf(out, ids), expected)).toBeLessThanOrEqual(REGROUPING_BOUND);
    expect(largestDifference(await logitsOf(small, ids), expected)).toBeGreaterThan(100 * REGROUPING_BOUND);
  });

  it("whose o_proj does not see the pruned heads, the worst of each group", async () => {
    const scores = await scoresOf(small);
    const out = fresh();
    await prune({ model: small, importance: scores, heads: 2, out });
    const masked = writeModel(fresh(), smallConfig, 1, (values, { role, part, layer }) => {
      if (role !== "o_proj" || part === "bias") return;
      const [a, b, c, d] = scores.heads[layer!]! as unknown as [number, number, number, number];
      const kept = new Set([a >= b ? 0 : 1, c >= d ? 2 : 3]);
      values.forEach((_, i) => (values[i]! *= kept.has(Math.floor((i % 32) / 8)) ? 1 : 0));
    });
    const expected = await logitsOf(masked, ids);
    expect(largestDifference(await logitsOf(out, ids), expected)).toBeLessThanOrEqual(REGROUPING_BOUND);
    expect(largestDifference(await logitsOf(small, ids), expected)).toBeGreaterThan(100 * REGROUPING_BOUND);
  });
});

it("random models: every value is the one that plain slicing gives", async () => {
  const draw = random(3);
  const upTo = (n: number): number => 1 + Math.floor(draw() * n);
  for (let round = 0; round < 25; ++round) {
    const [groups, perGroup, headDim] = [upTo(3), upTo(3), 2 * upTo(4)];
    const [keepGroups, keepPerGroup] = perGroup === 1 ? [upTo(groups), 1] : [upTo(groups), upTo(perGroup)];
    const heads = keepGroups * keepPerGroup;
    const sourceHeads = groups * perGroup;
    const config: Json = {
      ...smallConfig,
      hidden_size: sourceHeads * heads * (1 + upTo(2)),
      intermediate_size: upTo(40),
      num_hidden_layers: upTo(5),
      num_attention_heads: sourceHeads,
      num_key_value_heads: groups,
      head_dim: headDim,
      attention_bias: draw() < 0.5,
      mlp_bias: draw() < 0.5,
      tie_word_embeddings: draw() < 0.5,
    };
    const model = writeModel(fresh(), config, round + 1);
    const scores = await scoresOf(model, round + 1);
    await using source = await openCheckpoint(model);
    const { spec } = source;
    const hidden = heads * upTo(spec.hiddenSize / heads);
    const [ffn, layers] = [upTo(spec.intermediateSize), upTo(spec.numLayers)];
    const multiHead = perGroup === 1;
    const kvHeads = scores.kvGroups.map((values, layer) => top(multiHead ? scores.heads[layer]! : values, keepGroups));
    const kept = {
      layers: top(scores.layers!, layers),
      hidden: top(scores.hidden, hidden),
      ffn: scores.ffn.map((values) => top(values, ffn)),
      kvHeads,
      heads: kvHeads.map((kvs, layer) =>
        kvs.flatMap((group) => {
          const inGroup = Array.from({ length: perGroup }, (_, i) => scores.heads[layer]![group * perGroup + i]!);
          return top(inGroup, keepPerGroup).map((i) => group * perGroup + i);
        }),
      ),
    };
    const out = fresh();
    const result = await prune({ model, importance: scores, hidden, ffn, heads, kvHeads: keepGroups, layers, out });
    await using pruned = await openCheckpoint(out);
    const values = await valuesOf(pruned);
    expect(values).toEqual(slicedByHand(await valuesOf(source), kept, headDim));
    expect(result.parameters).toBe([...values.values()].reduce((sum, tensor) => sum + tensor.values.length, 0));
    expect(pruned.config["head_dim"]).toBe(headDim);
    expect(parameterCount(pruned.spec)).toBe(result.parameters);
  }
});

it("tensors that are cut in several pieces", async () => {
  const model = writeModel(fresh(), {
    ...smallConfig,
    vocab_size: 13000,
    intermediate_size: 12001,
    num_hidden_layers: 1,
  });
  const scores = await scoresOf(model);
  await using source = await openCheckpoint(model);
  for (const dtype of ["f32", "bf16"] as const) {
    const out = fresh();
    await prune({ model, importance: scores, hidden: 20, ffn: 31, out, dtype });
    await using pruned = await openCheckpoint(out);
    const all = [[0, 1, 2, 3]];
    const kept = {
      layers: [0],
      hidden: top(scores.hidden, 20),
      ffn: [top(scores.ffn[0]!, 31)],
      heads: all,
      kvHeads: [[0, 1]],
    };
    const [found, expected] = [await valuesOf(pruned), slicedByHand(await valuesOf(source), kept, 8)];
    for (const [name, { values, shape }] of expected) {
      expect(found.get(name)!.shape).toEqual(shape);
      const bound = dtype === "f32" ? 0 : 2 ** -9;
      expect(largestDifference(found.get(name)!.values, values)).toBeLessThanOrEqual(bound);
    }
  }
});

it("merges heads by the paper's formula, queries alone", async () => {
  const model = writeModel(fresh(), { ...smallConfig, num_attention_heads: 8, num_key_value_heads: 2 });
  const scores = await scoresOf(model);
  const out = fresh();
  await prune({ model, importance: scores, heads: 6, mergeHeads: true, out });
  const plain = fresh();
  await prune({ model, importance: scores, heads: 6, out: plain });
  await using source = await openCheckpoint(model);
  const before = await valuesOf(source);
  await using unmerged = await openCheckpoint(plain);
  await using pruned = await openCheckpoint(out);
  const [after, others] = [await valuesOf(pruned), await valuesOf(unmerged)];
  for (const [name, { values }] of after) {
    const [, part] = /q_proj\.(weight|bias)/.exec(name) ?? [];
    if (part === undefined) {
      expect(values).toEqual(others.get(name)!.values);
      continue;
    }
    const layer = Number(/layers\.(\d+)/.exec(name)![1]);
    const width = part === "bias" ? 1 : 24;
    const head = (h: number): number[] =>
      headRows([h], 8).flatMap((row) => before.get(name)!.values.slice(row * width, (row + 1) * width));
    // Of 4 heads by rank 3 stay: the third, i = K, takes up head 2K - i + 1 = 4.
    const expected = [0, 4].flatMap((first) => {
      const rank = [0, 1, 2, 3]
        .map((i) => first + i)
        .sort((a, b) => scores.heads[layer]![b]! - scores.heads[layer]![a]!);
      const merged = head(rank[2]!).map((value, i) => Math.fround(value + (value - head(rank[3]!)[i]!)));
      return rank
        .slice(0, 3)
        .sort((a, b) => a - b)
        .flatMap((h) => (h === rank[2] ? merged : head(h)));
    });
    expect(values).toEqual(expected);
  }
});

it("rounds to 16 bits, merged heads too, and keeps 16 bits by default", async () => {
  const scores = await scoresOf(small);
  const whole = fresh();
  await prune({ model: small, importance: scores, heads: 2, mergeHeads: true, out: whole });
  await using exact = await openCheckpoint(whole);
  for (const dtype of ["f16", "bf16"] as const) {
    const out = fresh();
    await prune({ model: small, importance: scores, heads: 2, mergeHeads: true, dtype, out });
    const again = fresh();
    await prune({ model: out, dropLayers: "2", out: again });
    await using rounded = await openCheckpoint(out);
    await using kept = await openCheckpoint(again);
    const q = "model.layers.0.self_attn.q_proj.weight";
    expect([rounded.tensors.get(q)!.type, kept.tensors.get(q)!.type]).toEqual([dtype, dtype]);
    const half = 2 ** (dtype === "f16" ? -11 : -8);
    const [fine, coarse] = [await readTensor(exact.tensors.get(q)!), await readTensor(rounded.tensors.get(q)!)];
    fine.forEach((value, i) => expect(Math.abs(coarse[i]! - value)).toBeLessThanOrEqual(half * Math.abs(value)));
  }
});

it("writes config, lineage and the tokenizer's files", async () => {
  const config = { ...smallConfig, layer_types: ["a", "b", "c", "d"], eos_token_id: [1, 2, 3, 4] };
  const model = writeModel(fresh(), config);
  writeFileSync(join(model, "tokenizer.json"), "{}");
  writeFileSync(join(model, "generation_config.json"), '{"eos_token_id": 3}');
  const out = fresh();
  const result = await prune({ model, importance: "random", seed: 5, hidden: "50%", dropLayers: "2-3", out });
  expect(result).toMatchObject({ droppedLayers: [2, 3], shape: { hidden: 12, layers: 2 } });
  expect(result.files).toEqual(readdirSync(out).sort());
  expect(json(join(out, "config.json"))).toMatchObject({
    hidden_size: 12,
    head_dim: 8,
    num_hidden_layers: 2,
    layer_types: ["a", "d"],
    eos_token_id: [1, 2, 3, 4],
  });
  expect(json(join(out, "generation_config.json"))).toEqual({ eos_token_id: 3 });
  expect(existsSync(join(out, "tokenizer.json"))).toBe(true);
  expect(json(join(out, "espalier.json"))).toMatchObject({
    step: "prune",
    options: { importance: "random", seed: 5, hidden: "50%", dropLayers: "2-3", dtype: "f32" },
    parent: { fingerprint: expect.stringMatching(/^sha256:/) as string },
    pruned: { from: { hidden: 24, layers: 4 }, to: { hidden: 12, layers: 2 }, droppedLayers: [2, 3] },
  });
});

it("magnitude keeps what has large weights", async () => {
  const model = writeModel(fresh(), smallConfig, 1, (values, { role, layer, shape }) => {
    if (role === "down_proj" && layer === 1 && shape.length === 2)
      values.forEach((_, i) => (values[i]! *= [3, 11].includes(i % 20) ? 100 : 1));
    if (role === "q_proj" && layer === 2) values.forEach((_, i) => (values[i]! *= i < values.length / 4 ? 0 : 1));
  });
  const out = fresh();
  await prune({ model, importance: "magnitude", ffn: 2, heads: 2, out });
  await using source = await openCheckpoint(model);
  await using pruned = await openCheckpoint(out);
  const before = (await valuesOf(source)).get("model.layers.1.mlp.up_proj.bias")!.values;
  const after = await valuesOf(pruned);
  expect(after.get("model.layers.1.mlp.up_proj.bias")!.values).toEqual([before[3], before[11]]);
  expect(after.get("model.layers.2.self_attn.q_proj.bias")!.values.slice(0, 8)).not.toContain(0);
});

it("a dry run writes nothing, an abort leaves nothing", async () => {
  const before = readdirSync(root);
  const out = join(root, "never");
  expect(await prune({ model: small, dropLayers: "1", out, dryRun: true })).toMatchObject({
    out: null,
    shape: { layers: 3 },
  });
  const controller = new AbortController();
  const hooks = { signal: controller.signal, onProgress: () => controller.abort() };
  await expect(prune({ model: small, dropLayers: "1", out }, hooks)).rejects.toThrow(coded("ERR_ABORTED"));
  expect(readdirSync(root)).toEqual(before);
});

describe("is refused", () => {
  const refusals: [object, string[]][] = [
    [{}, ["nothing says what to prune"]],
    [{ ffn: 21 }, ["ffn", "at most the source's 20", "21"]],
    [{ ffn: 0 }, ["ffn", "at least 1"]],
    [{ ffn: "half" }, ["ffn", "percentage", "half"]],
    [{ hidden: 22 }, ["hidden", "multiple of the 4 heads", "found 22", "20 or 24"]],
    [{ heads: 3 }, ["heads", "multiple of the 2", "3"]],
    [{ kvHeads: 1, heads: 4 }, ["heads", "at most 2", "4"]],
    [{ layers: 5 }, ["layers", "at most the source's 4"]],
    [{ dropLayers: "4-5" }, ["dropLayers", "1 to 4", "4-5"]],
    [{ dropLayers: "0" }, ["dropLayers", "1 to 4"]],
    [{ dropLayers: "3-2" }, ["dropLayers"]],
    [{ dropLayers: "1-4" }, ["dropLayers", "at least one layer"]],
    [{ dropLayers: "1", layers: 3 }, ["layers, dropLayers", "both"]],
    [{ ffn: 10, importance: undefined }, ["importance", "none"]],
    [{ layers: 3, importance: undefined }, ["importance", "none"]],
    [{ ffn: 10, mergeHeads: true }, ["mergeHeads"]],
    [{ heads: 4, mergeHeads: true }, ["mergeHeads", "fewer heads"]],
    [{ ffn: 10, out: undefined }, ["out"]],
    [{ ffn: 10, configOnly: "config.json" }, ["configOnly", "both"]],
    [{ ffn: 10, importance: "guess" }, ["importance", "guess"]],
    [{ ffn: 10, listCandidates: true }, ["listCandidates", "targetParams"]],
    [{ ffn: 10, axes: ["ffn"] }, ["axes", "targetParams"]],
    [{ ffn: 10, layerMethod: "contiguous-loss" }, ["layerMethod", "layers or a target"]],
    [{ targetParams: "2x" }, ["targetParams", "2x"]],
    [{ targetParams: "1B" }, ["targetParams", "fewer than the source's", "1B"]],
    [{ targetParams: "100%" }, ["targetParams", "fewer than the source's", "100%"]],
    [{ targetParams: "50%", targetMemory: "1MB" }, ["targetParams, targetMemory", "both"]],
    [{ targetMemory: "1TB" }, ["targetMemory", "50MB", "1TB"]],
    [{ targetMemory: "1GB" }, ["targetMemory", "fewer than the source's", "bytes", "1GB"]],
    [{ targetMemory: "50%", budgetIsl: 3 }, ["budgetIsl", "targetLatency beside it"]],
    [{ ffn: 10, budgetBatch: 3 }, ["budgetBatch", "targetMemory or targetLatency beside it"]],
    [{ targetLatency: 0 }, ["targetLatency", "12.5ms"]],
    [{ targetLatency: "fast" }, ["targetLatency", "12.5ms", "fast"]],
    [{ targetLatency: "50%", budgetIsl: 60 }, ["budgetIsl, budgetOsl", "64 positions", "92"]],
    [{ targetLatency: "50%", budgetIsl: 8, budgetOsl: 1 }, ["budgetOsl"]],
    [{ ffn: 10, width: 3 }, ["width"]],
  ];

  it.each(refusals)("%j", async (options, words) => {
    const out = fresh();
    const given = { model: small, importance: "random", out, ...options };
    await expect(prune(given)).rejects.toThrow(coded("ERR_ARGUMENT", ...words));
    expect(existsSync(out)).toBe(false);
  });

  it("with scores of another model, or without what is needed", async () => {
    const scores = await scoresOf(small);
    const cases: [object, object, string[]][] = [
      [{ model: "sha256:0" }, { ffn: 10 }, ["sha256:0"]],
      [{ hidden: new Float32Array(3) }, { ffn: 10 }, ["hidden", "24", "3"]],
      [{ ffn: [] }, { ffn: 10 }, ["ffn", "4 layers"]],
      [{ hidden: new Float32Array(24).fill(NaN) }, { ffn: 10 }, ["finite", "NaN"]],
      [{ layers: null }, { layers: 2 }, ["block importance"]],
      [{ contiguous: [] }, { layers: 2, layerMethod: "contiguous-loss" }, ["without 2 layers", "none"]],
    ];
    for (const [change, options, words] of cases)
      await expect(
        prune({ model: small, importance: { ...scores, ...change }, out: fresh(), ...options }),
      ).rejects.toThrow(coded("ERR_PRUNE_SCORES", ...words));
  });

  it("over a directory that is there", async () => {
    await expect(prune({ model: small, dropLayers: "1", out: root })).rejects.toThrow(coded("ERR_OUTPUT_EXISTS"));
  });
});
