/** --rotate: the same model whose residual stream is rotated, in ordinary files. */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkRotatable, openWhole, readTensor } from "../../../src/checkpoint/index.js";
import { buildEngine, Engine } from "../../../src/engine/index.js";
import { quantize, schemes, type QuantizeOptions, type QuantizeResult } from "../../../src/quantize/index.js";
import { compress } from "../../../src/recipe/index.js";
import { compareBy, nmse } from "../../compare.js";
import { coded, type Json } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier } from "../cli/run.js";
import { writeModel, type Change } from "../prune/fixtures.js";
import { hashesOf, quantizableConfig, readJson } from "./fixtures.js";

const root = temporaryDirectory();
let count = 0;
const fresh = (): string => join(root, `q${count++}`);

/** Biases everywhere; 160 is no power of two, a head is not hidden / heads. */
const config: Json = { ...quantizableConfig, hidden_size: 160, head_dim: 32, mlp_bias: true };
const tiedConfig: Json = { ...quantizableConfig, attention_bias: false, tie_word_embeddings: true };
const untied = writeModel(fresh(), config);
const tied = writeModel(fresh(), tiedConfig);
const ids = [3, 17, 40, 8, 8, 25, 1, 47, 30, 12];

async function logitsOf(model: string, weights?: string): Promise<number[]> {
  const engine = fresh();
  await buildEngine(model, engine, weights === undefined ? {} : { weights });
  await using loaded = await Engine.load(engine, { kvDtype: "f32" });
  return (await loaded.logits(ids, { all: true })).flatMap((row) => Array.from(row));
}

async function make(options: Partial<QuantizeOptions>): Promise<{ out: string; result: QuantizeResult }> {
  const out = fresh();
  const result = await quantize({ model: untied, scheme: "w8a8", rotate: true, ...options, out });
  return { out, result };
}

/** Rotated, every weight a float: what is left of rounding is that of f32. */
const floats = { scheme: "none", kvCache: "int8", dtype: "f32" } as const;

describe("the function stays", () => {
  it.each([
    ["biases, a head of its own", untied],
    ["a tied head", tied],
  ])("%s: f32 logits", async (_name, model) => {
    const { out } = await make({ model, ...floats });
    const expected = await logitsOf(model, "f32");
    compareBy(await logitsOf(out, "f32"), expected, { metric: "element", atol: 1e-4, rtol: 1e-4, reason: "" }, "f32");
    // One weight of a layer alone in int8, as codes.
    const one = await make({ ...floats, model, overrides: { "model.layers.1.self_attn.v_proj": "w8a16" } });
    expect(one.result.weights).toHaveLength(1);
    expect(nmse(await logitsOf(one.out, "f32"), expected)).toBeLessThan(1e-4);
  });

  it.each(
    [...schemes.values()].filter(({ activations }) => activations === null || activations.dynamic).map(({ id }) => id),
  )("%s, as codes and simulated", async (scheme) => {
    const expected = await logitsOf(tied, "f32");
    const bound = scheme.includes("8") ? 2e-2 : 0.1;
    for (const simulate of schemes.get(scheme)!.stored === null ? [true] : [true, false]) {
      const { out } = await make({ model: tied, scheme, simulate });
      expect(nmse(await logitsOf(out, simulate ? "f32" : undefined), expected)).toBeLessThan(bound);
    }
  });

  it("a channel of outliers costs int8 inputs far less", async () => {
    // Channel 5 is large behind every norm, and what reads it has small weights for it.
    const outlier: Change = (values, { role, shape }) => {
      const cols = shape.at(-1)!;
      const reads = /^([qkv]_proj|gate_proj|up_proj|lm_head)$/.test(role) && shape.length === 2;
      const factor = role === "embed_tokens" ? 200 : reads ? 1 / 200 : 1;
      for (let i = 5; i < values.length; i += cols) values[i]! *= factor;
      if (role === "o_proj" || role === "down_proj") for (let i = 0; i < values.length; ++i) values[i]! *= 0.1;
      if (role.endsWith("norm")) values.fill(1);
    };
    const model = writeModel(fresh(), { ...tiedConfig, tie_word_embeddings: false }, 1, outlier);
    const expected = await logitsOf(model, "f32");
    const plain = nmse(await logitsOf((await make({ model, rotate: false })).out), expected);
    const rotated = nmse(await logitsOf((await make({ model })).out), expected);
    expect(rotated).toBeLessThan(plain / 2);
  });
});

describe("what is written", () => {
  it("norms of ones, a head of its own, biases that writers rotate and readers keep", async () => {
    const { out, result } = await make({ model: untied });
    expect(result.untiedHeadBytes).toBe(0);
    expect(readJson(out, "espalier.json")["options"]).toMatchObject({ rotate: true });
    await using before = await openWhole(untied);
    await using after = await openWhole(out);
    const valuesOf = async (name: string): Promise<[Float32Array, Float32Array]> => [
      await readTensor(before.tensors.get(name)!),
      await readTensor(after.tensors.get(name)!),
    ];
    for (const name of after.tensors.keys()) {
      const [old, made] = await valuesOf(name);
      if (name.endsWith("norm.weight")) expect(made).toEqual(new Float32Array(old.length).fill(1));
      if (/(q|k|v|gate|up)_proj\.bias$/.test(name)) expect(made).toEqual(old);
      if (/(o|down)_proj\.bias$/.test(name)) {
        expect(made).not.toEqual(old);
        expect(Math.hypot(...made)).toBeCloseTo(Math.hypot(...old), 4);
      }
    }
    expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
  });

  it("a head that was the embedding is written, and what that takes is told", async () => {
    let told = 0;
    const out = fresh();
    const options = { model: tied, scheme: "w8a8", rotate: true } as const;
    const result = await quantize({ ...options, out }, { onPlan: ({ untiedHeadBytes }) => (told = untiedHeadBytes) });
    expect(result.untiedHeadBytes).toBe(48 * 128 * 4);
    expect(told).toBe(result.untiedHeadBytes);
    expect(readJson(out, "config.json")).toMatchObject({
      tie_word_embeddings: false,
      quantization_config: { ignore: ["lm_head"] },
    });
    await using checkpoint = await openWhole(out);
    expect(checkpoint.tensors.get("lm_head.weight")?.shape).toEqual([48, 128]);
    const plain = await quantize({ ...options, rotate: false, out: fresh() });
    expect(result.weightBytes - plain.weightBytes).toBe(result.untiedHeadBytes);
    const codes = await quantize({ ...options, include: ["lm_head"], dryRun: true });
    expect(codes.untiedHeadBytes).toBe(48 * 128);
    const nf4 = await quantize({ ...options, scheme: "nf4", out: fresh() });
    expect(readJson(nf4.out!, "config.json")["quantization_config"]).toMatchObject({
      llm_int8_skip_modules: ["lm_head"],
    });
  });

  it("a GGUF file, whose heads are interleaved", async () => {
    const model = join(__dirname, "../../fixtures/gguf/tiny-q8_0-tied.gguf");
    const { out } = await make({ model, ...floats });
    const expected = await logitsOf(model, "f32");
    expect(nmse(await logitsOf(out, "f32"), expected)).toBeLessThan(1e-8);
  });

  it("on the command line and in recipes", async () => {
    const out = fresh();
    const args = ["quantize", tied, "--scheme", "w4a16", "--rotate", "--exclude", "*.o_proj", "--out", out];
    const { status, stdout } = await espalier(args);
    expect(status).toBe(0);
    expect(stdout).toContain("rotated: the head can no longer be the embedding, which takes 24.6 kB");
    const [recipe, run] = [join(root, "recipe.yaml"), fresh()];
    const step = `quantize: { model: ${JSON.stringify(tied)}, scheme: w4a16, rotate: true, exclude: ["*.o_proj"] }`;
    writeFileSync(recipe, `title: Rotated\nsteps:\n  codes:\n    ${step}\n`);
    await compress({ recipe, out: run });
    expect(hashesOf(join(run, "codes"))["model.safetensors"]).toBe(hashesOf(out)["model.safetensors"]);
  });
});

it("goes on after an abort at any weight, to the same bytes, and only with the same rotation", async () => {
  const options: QuantizeOptions = { model: untied, scheme: "w8a8", exclude: ["*.o_proj"], maxShardBytes: 2e5 };
  const expected = hashesOf((await make(options)).out);
  for (const [stop, rotate] of [
    [4, true],
    [20, true],
    [20, false],
  ] as const) {
    const out = fresh();
    const controller = new AbortController();
    const onProgress = ({ done }: { done: number }): boolean | void => done === stop && controller.abort();
    await expect(quantize({ ...options, rotate, out }, { signal: controller.signal, onProgress })).rejects.toThrow(
      coded("ERR_ABORTED"),
    );
    let first: number | null = null;
    await quantize({ ...options, rotate: true, out }, { onProgress: ({ done }) => (first ??= done) });
    if (rotate) expect(first).toBeGreaterThanOrEqual(stop);
    else expect(first).toBe(0);
    expect(hashesOf(out)).toEqual(expected);
  }
});

describe("refused", () => {
  const call = (given: object): Promise<unknown> =>
    quantize({ model: tied, scheme: "w8a8", rotate: true, out: fresh(), ...given } as QuantizeOptions);

  it.each<[object, string[]]>([
    [{ rotate: "yes" }, ["rotate", "yes"]],
    [{ scheme: "none" }, ["leaves nothing to do"]],
    [{ exclude: ["*"] }, ["no weight is left to quantize"]],
    [
      { scheme: "w8a8-static", calibration: __filename },
      ["rotate", "q_proj: w8a8-static measures inputs of the model as it is"],
    ],
  ])("%j", async (given, parts) => {
    const before = readdirSync(root);
    await expect(call(given)).rejects.toThrow(coded("ERR_ARGUMENT", ...parts));
    expect(readdirSync(root)).toEqual(before);
  });

  it("a family whose norms are of another kind", () => {
    expect(() => checkRotatable({ family: "gemma" }, "gemma-2b", "rotate")).toThrow(
      coded("ERR_ARGUMENT", "rotate: expected", "plain RMSNorms", "gemma-2b is gemma"),
    );
    for (const family of ["llama", "mistral"]) checkRotatable({ family }, "model", "rotate");
  });

  it("a quantized model, and values that are not finite, by name", async () => {
    const { out } = await make({ model: tied });
    await expect(call({ model: out })).rejects.toThrow(coded("ERR_WEIGHT_FORMAT", out, "already quantized"));
    for (const name of ["model.embed_tokens.weight", "model.layers.0.self_attn.o_proj.weight", "model.norm.weight"]) {
      const model = writeModel(fresh(), tiedConfig, 1, (values, tensor) => {
        if (tensor.name === name) values[3] = NaN;
      });
      const target = fresh();
      await expect(call({ model, exclude: ["*.o_proj"], out: target })).rejects.toThrow(
        coded("ERR_WEIGHT_VALUE", name),
      );
      expect(existsSync(target)).toBe(false);
    }
  });
});
