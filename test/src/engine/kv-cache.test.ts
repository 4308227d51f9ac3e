// Keys and values stored as int8 and fp8: accuracy, prefix reuse, defaults of the engine directory, schemes of a model.
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { buildEngine, Engine, type EngineLoadOptions, type KvCache } from "../../../src/engine/index.js";
import { nmse } from "../../compare.js";
import { temporaryDirectory } from "../../temporary.js";
import { engineOf, loadTiny, someIds, tinyLlama } from "./fixtures.js";

const directory = temporaryDirectory();
const isas = binding.cpuInfo().isas;
let count = 0;
const code = (expected: string) => expect.objectContaining({ code: expected });

function flat(rows: Float32Array[]): number[] {
  return rows.flatMap((row) => Array.from(row));
}

/** Root mean square error of the logits of a load with these options against one with a cache in f32, relative to them. */
async function errorOf(path: string, options: EngineLoadOptions): Promise<number> {
  const ids = someIds(50, 61);
  await using exact = await Engine.load(path, { kvDtype: "f32" });
  await using rounded = await Engine.load(path, options);
  const [found, expected] = [await rounded.logits(ids, { all: true }), await exact.logits(ids, { all: true })];
  return Math.sqrt(nmse(flat(found), flat(expected)));
}

/**
 * Error over bf16's on the same model, by the mean relative rounding errors: bf16's is about 2^-9 / √3 of a value; int8's
 * absmax / 254 / √3, with an absmax 2 to 3 times the values' size; e4m3's 2^-4 / √3 at worst.
 */
const timesBf16 = { int8: 5, fp8: 32 };

describe.each(["int8", "fp8"] as const)("a cache in %s", (kvDtype) => {
  it.each(isas)("stays close to one in f32 on %s", async (isa) => {
    for (const name of ["plain-v4", "tied-gqa4-v4"]) {
      const path = await engineOf(name);
      const bf16 = await errorOf(path, { kvDtype: "bf16", isa });
      const error = await errorOf(path, { kvDtype, isa });
      expect(error).toBeLessThanOrEqual(timesBf16[kvDtype] * bf16);
      expect(error).toBeGreaterThan(bf16);
    }
  });

  it("gives the same bits when a prefix is reused, whole pages and part of one", async () => {
    // One token a step: the same products in the same order, reused or not.
    await using engine = await loadTiny("plain-v4", { kvDtype, prefillChunk: 1 });
    const ids = someIds(90, 61);
    const other = [...ids.slice(0, 77), ...someIds(10, 61, 7)];
    for (const prompt of [ids, other]) {
      const fresh = await engine.logits(prompt);
      await engine.logits(ids, { reusePrefix: true });
      expect(flat(await engine.logits(prompt, { reusePrefix: true }))).toEqual(flat(fresh));
    }
    const reused = await new Promise((resolve) => {
      engine.request({ kind: "logits", prompt: Int32Array.from(other) }, (event) => {
        if (event.kind === "done") resolve(event.reusedTokens);
      });
    });
    expect(reused).toBe(86);
  });

  it("holds less: a byte for each element and four for each head's scale", async () => {
    await using engine = await loadTiny("plain-v4", { kvDtype, kvTokens: 4096 });
    const { numLayers, numKvHeads, headDim } = engine.spec;
    expect(engine.stats().kvBytes).toBe(4096 * 2 * numLayers * numKvHeads * (headDim + 4));
  });
});

/** A copy of an engine with this `kvCache` in engine.json. */
async function engineWith(change: (spec: { numLayers: number; numKvHeads: number }) => unknown): Promise<string> {
  const copy = join(directory, `engine-${count++}`);
  cpSync(await engineOf("plain-v4"), copy, { recursive: true });
  const path = join(copy, "engine.json");
  const manifest = JSON.parse(readFileSync(path, "utf8")) as { spec: { numLayers: number; numKvHeads: number } };
  writeFileSync(path, JSON.stringify({ ...manifest, kvCache: change(manifest.spec) }));
  return copy;
}

function filled(layers: number, heads: number, scale: number): number[][] {
  return Array.from({ length: layers }, () => Array.from({ length: heads }, () => scale));
}

function fixed(dtype: "int8" | "fp8", keys: number, values: number, scale: "head" | "tensor" = "head") {
  return (spec: { numLayers: number; numKvHeads: number }): KvCache => ({
    dtype,
    scale,
    scales: {
      keys: filled(spec.numLayers, spec.numKvHeads, keys),
      values: filled(spec.numLayers, spec.numKvHeads, values),
    },
  });
}

describe("engine.json", () => {
  it("says what a load takes, and options win", async () => {
    const path = await engineWith(() => ({ dtype: "int8", scale: "token" }));
    const options = { kvTokens: 4096 };
    const bytesOf = async (more: EngineLoadOptions): Promise<number> => {
      await using engine = await Engine.load(path, { ...options, ...more });
      return engine.stats().kvBytes;
    };
    expect(await bytesOf({})).toBe(await bytesOf({ kvDtype: "int8" }));
    expect(await bytesOf({ kvDtype: "f32" })).toBeGreaterThan(await bytesOf({}));
  });

  it.each([
    ["int8", 0.05],
    ["fp8", 0.02],
  ] as const)("may bring fixed %s scales", async (dtype, scale) => {
    const good = await engineWith(fixed(dtype, scale, scale));
    const error = await errorOf(good, {});
    const byToken = await errorOf(good, { kvScale: "token" });
    expect(error).toBeGreaterThan(byToken); // a scale for each row rounds finer
    expect(error).toBeLessThan(4 * byToken);
    expect(await errorOf(good, { kvScale: "tensor" })).toBe(error); // all heads have the same
    // A scale far too small saturates everything: it is really used, for keys and for values.
    expect(await errorOf(await engineWith(fixed(dtype, scale, scale / 1e3)), {})).toBeGreaterThan(10 * byToken);
    expect(await errorOf(await engineWith(fixed(dtype, scale / 1e3, scale)), {})).toBeGreaterThan(5 * byToken);
  });

  it("takes one scale of a layer for the largest of its heads'", async () => {
    const ids = someIds(50, 61);
    const logitsOf = async (keys: (head: number) => number): Promise<number[]> => {
      const path = await engineWith((spec) => {
        const kvCache = fixed("int8", 0.05, 0.05)(spec);
        kvCache.scales!.keys = kvCache.scales!.keys.map((heads) => heads.map((_, head) => keys(head)));
        return kvCache;
      });
      await using engine = await Engine.load(path, { kvScale: "tensor" });
      return flat(await engine.logits(ids));
    };
    expect(await logitsOf((head) => (head === 0 ? 0.05 : 0.02))).toEqual(await logitsOf(() => 0.05));
  });

  it("keeps each layer's scales when layers are left out", async () => {
    const path = await engineWith(fixed("int8", 0.02, 0.02));
    await using engine = await Engine.load(path, { skipLayers: [0, 1] });
    expect(engine.manifest.kvCache?.scales?.keys.length).toBe(engine.spec.numLayers);
    expect((await engine.logits([1, 2, 3])).length).toBe(1);
  });

  it.each<[string, string, Parameters<typeof engineWith>[0], EngineLoadOptions]>([
    ["a type that is none", "ERR_ENGINE_FORMAT", () => ({ dtype: "int3", scale: "token" }), {}],
    ["scales of another shape", "ERR_ENGINE_FORMAT", (s) => fixed("int8", 1, 1)({ ...s, numKvHeads: 7 }), {}],
    ["a scale of 0", "ERR_ENGINE_FORMAT", fixed("int8", 0, 1), {}],
    ["no fixed scales", "ERR_ARGUMENT", () => ({ dtype: "int8", scale: "head" }), {}],
    ["fixed scales of another type", "ERR_ARGUMENT", fixed("int8", 1, 1), { kvDtype: "fp8", kvScale: "head" }],
    ["scales of floats", "ERR_ARGUMENT", fixed("int8", 1, 1), { kvDtype: "f16", kvScale: "token" }],
    ["a granularity that is none", "ERR_ARGUMENT", fixed("int8", 1, 1), { kvScale: "page" as "head" }],
  ])("refuses %s", async (_, expected, change, options) => {
    await expect(Engine.load(await engineWith(change), options)).rejects.toEqual(code(expected));
  });
});

/** A copy of a tiny model whose config has this scheme, with more tensors of f32. */
function modelWith(scheme: object, tensors: Record<string, { shape: number[]; values: number[] }> = {}): string {
  const model = join(directory, `model-${count++}`);
  cpSync(tinyLlama("plain-v4"), model, { recursive: true });
  const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8")) as object;
  const quantization_config = { quant_method: "compressed-tensors", config_groups: {}, kv_cache_scheme: scheme };
  writeFileSync(join(model, "config.json"), JSON.stringify({ ...config, quantization_config }));
  const path = join(model, "model.safetensors");
  const bytes = readFileSync(path);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerBytes)) as Record<string, unknown>;
  const parts = [bytes.subarray(8 + headerBytes)];
  let end = parts[0]!.length;
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, end + 4 * values.length] };
    parts.push(Buffer.from(Float32Array.from(values).buffer));
    end += 4 * values.length;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, ...parts]));
  return model;
}

async function builtKvCache(model: string): Promise<KvCache | undefined> {
  const out = join(directory, `built-${count++}`);
  await buildEngine(model, out, { weights: "f32" });
  await using engine = await Engine.load(out);
  expect((await engine.logits([1, 2, 3])).length).toBe(1);
  return engine.manifest.kvCache;
}

const tensorScheme = { num_bits: 8, type: "float", strategy: "tensor", dynamic: false, symmetric: true };

/** Scales of every layer of plain-v4. */
async function scalesOf(shape: (heads: number) => number[], value = 0.5): Promise<Parameters<typeof modelWith>[1]> {
  await using engine = await loadTiny("plain-v4");
  const { numLayers, numKvHeads } = engine.spec;
  const size = shape(numKvHeads).reduce((product, n) => product * n, 1);
  const names = Array.from({ length: numLayers }, (_, layer) =>
    ["k_scale", "v_scale"].map((name) => `model.layers.${layer}.self_attn.${name}`),
  ).flat();
  const values = Array.from({ length: size }, (_, i) => value * (i + 1));
  return Object.fromEntries(names.map((name) => [name, { shape: shape(numKvHeads), values }]));
}

describe("quantization_config.kv_cache_scheme", () => {
  it("is handed on by build", async () => {
    const dynamic = { num_bits: 8, type: "int", strategy: "tensor", dynamic: true, symmetric: true };
    expect(await builtKvCache(modelWith(dynamic))).toEqual({ dtype: "int8", scale: "token" });
    expect(await builtKvCache(tinyLlama("plain-v4"))).toBeUndefined();
  });

  it("brings fixed scales, one of a layer or one of a head", async () => {
    const tensor = await builtKvCache(modelWith(tensorScheme, await scalesOf(() => [1])));
    expect(tensor).toMatchObject({ dtype: "fp8", scale: "tensor" });
    expect(new Set(tensor?.scales?.keys.flat())).toEqual(new Set([0.5]));
    const perHead = { ...tensorScheme, type: "int", strategy: "attn_head" };
    const head = await builtKvCache(modelWith(perHead, await scalesOf((heads) => [heads, 1, 1])));
    expect(head).toMatchObject({ dtype: "int8", scale: "head" });
    expect(head?.scales?.values[0]).toEqual(head?.scales?.values[0]?.map((_, i) => 0.5 * (i + 1)));
  });

  it("is refused when it cannot be followed, by name", async () => {
    const build = async (scheme: object, tensors?: Parameters<typeof modelWith>[1]) =>
      buildEngine(modelWith(scheme, tensors), join(directory, `refused-${count++}`));
    await expect(build({ ...tensorScheme, num_bits: 4 })).rejects.toEqual(code("ERR_MODEL_CONFIG"));
    await expect(build({ ...tensorScheme, strategy: "group" })).rejects.toThrow("kv_cache_scheme.strategy");
    await expect(build({ ...tensorScheme, symmetric: false })).rejects.toEqual(code("ERR_MODEL_CONFIG"));
    await expect(build(tensorScheme)).rejects.toThrow('the tensor "model.layers.0.self_attn.k_scale" is missing');
    await expect(build(tensorScheme, await scalesOf(() => [7]))).rejects.toEqual(code("ERR_SHAPE"));
    await expect(build(tensorScheme, await scalesOf(() => [1], -1))).rejects.toEqual(code("ERR_WEIGHT_VALUE"));
  });
});
