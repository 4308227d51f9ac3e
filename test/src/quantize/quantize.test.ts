/** What quantize writes: tensors, config.json, lineage and figures of every scheme, and what options change. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { openWhole, readTensor } from "../../../src/checkpoint/index.js";
import { quantize, schemes, type QuantizeOptions, type QuantizeResult } from "../../../src/quantize/index.js";
import type { Json } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { writeModel } from "../prune/fixtures.js";
import { hashesOf, quantizableConfig, readJson, storedTensors, type StoredTensor } from "./fixtures.js";

const root = temporaryDirectory();
const model = join(root, "model");
let count = 0;
const fresh = (): string => join(root, `q${count++}`);
let source: Map<string, StoredTensor>;

beforeAll(async () => {
  writeModel(model, quantizableConfig);
  source = await storedTensors(model);
});

interface Made {
  out: string;
  result: QuantizeResult;
  tensors: Map<string, StoredTensor>;
  quantization: Json;
}

async function make(options: Partial<QuantizeOptions>): Promise<Made> {
  const out = fresh();
  const result = await quantize({ model, scheme: "w8a8", ...options, out });
  const quantization = (readJson(out, "config.json")["quantization_config"] ?? {}) as Json;
  return { out, result, tensors: await storedTensors(out), quantization };
}

const modulesOf = (tensors: Map<string, StoredTensor>, suffix: string): string[] =>
  [...tensors.keys()].filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));

async function valuesOf(directory: string): Promise<Map<string, number[]>> {
  await using checkpoint = await openWhole(directory);
  const values = new Map<string, number[]>();
  for (const [name, tensor] of checkpoint.tensors) values.set(name, Array.from(await readTensor(tensor)));
  return values;
}

type Parts = Record<string, [type: string, shape: number[]]>;

/** Of k_proj [64, 128] in f32. */
const packed = (values: number, groups: number): Parts => ({
  weight_packed: ["i32", [64, 128 / values]],
  weight_scale: ["f32", [64, groups]],
  weight_shape: ["i64", [2]],
});
const fp8: Parts = { weight: ["f8_e4m3", [64, 128]], weight_scale: ["f32", [64, 1]] };
const block4 = (id: string): Parts => ({
  weight: ["u8", [4096, 1]],
  "weight.absmax": ["f32", [128]],
  "weight.quant_map": ["f32", [16]],
  [`weight.quant_state.bitsandbytes__${id}`]: ["u8", [78]],
});

const expectedParts: Record<string, [format: string, Parts]> = {
  w8a8: ["int-quantized", { weight: ["i8", [64, 128]], weight_scale: ["f32", [64, 1]] }],
  w8a16: ["pack-quantized", packed(4, 1)],
  w4a16: ["pack-quantized", packed(8, 1)],
  "fp8-dynamic": ["float-quantized", fp8],
  "fp8-block": ["float-quantized", { weight: ["f8_e4m3", [64, 128]], weight_scale: ["f32", [1, 1]] }],
  fp8: ["naive-quantized", fp8],
  nf4: ["bitsandbytes", block4("nf4")],
  fp4: ["bitsandbytes", block4("fp4")],
  mxfp4: ["mxfp4-pack-quantized", { weight_packed: ["u8", [64, 64]], weight_scale: ["u8", [64, 4]] }],
  mxfp8: ["mxfp8-quantized", { weight: ["f8_e4m3", [64, 128]], weight_scale: ["u8", [64, 4]] }],
  nvfp4: [
    "nvfp4-pack-quantized",
    { weight_packed: ["u8", [64, 64]], weight_scale: ["f8_e4m3", [64, 8]], weight_global_scale: ["f32", [1]] },
  ],
};

/** Static ones are in static.test.ts. */
const stored = [...schemes.values()]
  .filter(({ stored: files, activations }) => files !== null && activations?.dynamic !== false)
  .map(({ id }) => id);

it("the table of this test has every scheme that files hold", () => {
  expect(Object.keys(expectedParts).sort()).toEqual([...stored].sort());
});

describe.each(stored)("%s", (scheme) => {
  let made: Made;
  beforeAll(async () => {
    made = await make({ scheme });
  });

  it("tensors of quantized layers have the format's names, types and shapes", () => {
    const prefix = "model.layers.0.self_attn.k_proj.";
    const names = [...made.tensors.keys()].filter((name) => name.startsWith(prefix) && !name.endsWith("bias"));
    const [, parts] = expectedParts[scheme]!;
    expect(Object.fromEntries(names.map((name) => [name.slice(prefix.length), made.tensors.get(name)!]))).toEqual(
      Object.fromEntries(
        Object.entries(parts).map(([suffix, [type, shape]]) => [suffix, expect.objectContaining({ type, shape })]),
      ),
    );
  });

  it("all else is untouched, to the bit", () => {
    const dense = [...source].filter(([name]) => !/_proj\.weight$/.test(name));
    expect(dense.length).toBe(15);
    for (const [name, { type, shape, bytes }] of dense) {
      expect(made.tensors.get(name)).toMatchObject({ type, shape });
      expect(made.tensors.get(name)!.bytes.equals(bytes)).toBe(true);
    }
  });

  it("config.json says how, and keeps what it said", () => {
    const config = readJson(made.out, "config.json");
    const [format] = expectedParts[scheme]!;
    expect(config).toMatchObject({ ...quantizableConfig });
    if (format === "bitsandbytes")
      expect(made.quantization).toMatchObject({
        quant_method: "bitsandbytes",
        bnb_4bit_quant_type: scheme,
        llm_int8_skip_modules: ["lm_head"],
        bnb_4bit_use_double_quant: false,
      });
    else
      expect(made.quantization).toMatchObject({
        quant_method: "compressed-tensors",
        format,
        ignore: ["lm_head"],
        kv_cache_scheme: null,
        config_groups: { group_0: { targets: ["Linear"], output_activations: null } },
      });
  });

  it("lineage and figures", () => {
    const { result, out, tensors } = made;
    const weightBytes = [...tensors.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
    expect(result).toMatchObject({
      out,
      scheme,
      quantizedParameters: 294912,
      files: ["model.safetensors"],
      weightBytes,
    });
    expect(result.weights.map(({ name }) => name)).toEqual(
      modulesOf(source, "_proj.weight").map((n) => `${n}_proj.weight`),
    );
    expect(readJson(out, "quantization.json")).toEqual({ weights: result.weights });
    expect(readJson(out, "espalier.json")).toMatchObject({
      step: "quantize",
      options: { scheme, dtype: "f32" },
      parent: { name: "model", format: "safetensors", fingerprint: expect.stringMatching(/^sha256:/) as string },
      quantized: { parameters: 294912, weightBytes },
    });
    for (const { bytes, bitsPerWeight, shape } of result.weights)
      expect(bitsPerWeight).toBeCloseTo((8 * bytes) / (shape[0]! * shape[1]!), 10);
  });

  it("the reported errors are those of the values that are read back; simulated values are the same", async () => {
    const [before, after] = [await valuesOf(model), await valuesOf(made.out)];
    for (const { name, relativeError, largestError } of made.result.weights) {
      const [w, found] = [before.get(name)!, after.get(name)!];
      const differences = w.map((value, i) => value - found[i]!);
      const norm = (values: number[]): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
      expect(norm(differences) / norm(w)).toBeCloseTo(relativeError, 5);
      expect(Math.max(...differences.map(Math.abs))).toBeCloseTo(largestError, 5);
      expect(relativeError).toBeLessThan(0.13);
    }
    const simulated = await make({ scheme, simulate: true });
    expect(simulated.quantization).toEqual({});
    expect([...simulated.tensors.keys()].sort()).toEqual([...source.keys()].sort());
    expect(await valuesOf(simulated.out)).toEqual(after);
  });
});

describe("which weights", () => {
  it("include the head and the embedding, exclude a layer", async () => {
    const { tensors, quantization } = await make({
      include: ["lm_head", "model.embed_tokens"],
      exclude: ["model.layers.1.*"],
    });
    const modules = modulesOf(tensors, ".weight_scale");
    expect(modules).toHaveLength(9);
    expect(modules).toEqual(expect.arrayContaining(["lm_head", "model.embed_tokens"]));
    expect(modules.filter((name) => name.includes("layers.1"))).toEqual([]);
    expect(quantization["ignore"]).toHaveLength(7);
    expect(quantization["config_groups"]).toMatchObject({
      group_0: { targets: expect.arrayContaining(["model.embed_tokens", "lm_head"]) as string[] },
    });
    for (const [name, { bytes }] of source)
      if (name.includes("layers.1")) expect(tensors.get(name)!.bytes.equals(bytes)).toBe(true);
  });

  it("override: the last pattern that matches wins, none leaves a weight as it is", async () => {
    const overrides = { "*.down_proj": "w8a16", "model.layers.1.*": "none", "model.layers.1.*.v_proj.weight": "fp8" };
    const { result, quantization, out } = await make({ scheme: "w4a16", overrides });
    const chosen = Object.fromEntries(result.weights.map(({ name, scheme }) => [name, scheme]));
    expect(chosen).toEqual({
      ...Object.fromEntries(
        ["self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate", "mlp.up"].map((part) => [
          `model.layers.0.${part}_proj.weight`,
          "w4a16",
        ]),
      ),
      "model.layers.0.mlp.down_proj.weight": "w8a16",
      "model.layers.1.self_attn.v_proj.weight": "fp8",
    });
    expect(quantization).toMatchObject({ format: "mixed-precision" });
    const groups = Object.values(quantization["config_groups"] as Record<string, Json>);
    expect(groups.map(({ format }) => format)).toEqual(["pack-quantized", "pack-quantized", "naive-quantized"]);
    expect(groups.at(-1)).toMatchObject({ targets: ["model.layers.1.self_attn.v_proj"] });
    expect((await valuesOf(out)).size).toBe(source.size);
  });

  it("only overrides: scheme none", async () => {
    const { result } = await make({ scheme: "none", overrides: { "*.down_proj": "w8a16" } });
    expect(result.weights).toHaveLength(2);
  });
});

describe("variants", () => {
  it.each(["int8", "fp8"] as const)("keys and values in %s, alone and beside weights", async (kvCache) => {
    const scheme = { num_bits: 8, type: kvCache === "int8" ? "int" : "float", symmetric: true, dynamic: true };
    const alone = await make({ scheme: "none", kvCache });
    expect(alone.quantization).toMatchObject({ config_groups: {}, kv_cache_scheme: scheme });
    for (const [name, { bytes }] of source) expect(alone.tensors.get(name)!.bytes.equals(bytes)).toBe(true);
    const simulated = await make({ scheme: "nf4", simulate: true, kvCache });
    expect(simulated.quantization).toMatchObject({ config_groups: {}, kv_cache_scheme: scheme });
    expect((await valuesOf(simulated.out)).size).toBe(source.size);
    const beside = await make({ scheme: "w8a8", kvCache });
    expect(beside.quantization).toMatchObject({ format: "int-quantized", kv_cache_scheme: scheme });
  });

  it.each(["w8a8", "fp8-dynamic", "fp8"])("one scale a weight: %s", async (scheme) => {
    const { tensors, quantization } = await make({ scheme, perTensor: true });
    expect(tensors.get("model.layers.0.mlp.up_proj.weight_scale")!.shape).toEqual([1]);
    expect(quantization["config_groups"]).toMatchObject({ group_0: { weights: { strategy: "tensor" } } });
  });

  it.each([
    ["w4a16", 32],
    ["w8a16", 64],
  ])("zero points: %s", async (scheme, groupSize) => {
    const { tensors, quantization, result } = await make({ scheme, groupSize, asymmetric: true });
    const zeros = tensors.get("model.layers.0.self_attn.k_proj.weight_zero_point")!;
    expect(zeros).toMatchObject({ type: "i32", shape: [scheme === "w4a16" ? 8 : 16, 128 / groupSize] });
    expect(quantization["config_groups"]).toMatchObject({
      group_0: { weights: { symmetric: false, strategy: "group", group_size: groupSize } },
    });
    const symmetric = await make({ scheme, groupSize });
    expect(result.weights[0]!.relativeError).toBeLessThan(symmetric.result.weights[0]!.relativeError);
  });

  it("ranges: mse is no worse than max, hqq has zero points, percentile cuts", async () => {
    const error = ({ result }: Made): number => result.weights[0]!.relativeError;
    const options = { scheme: "w4a16", groupSize: 64 };
    const max = await make(options);
    expect(error(await make({ ...options, method: "mse" }))).toBeLessThanOrEqual(error(max));
    const hqq = await make({ ...options, method: "hqq" });
    expect(modulesOf(hqq.tensors, ".weight_zero_point")).toHaveLength(14);
    const cut = await make({ ...options, method: "percentile", percentile: 0.5 });
    expect(error(cut)).toBeGreaterThan(2 * error(max));
  });

  it("nested scales", async () => {
    const { tensors, quantization, result, out } = await make({ scheme: "nf4", doubleQuant: true });
    expect(quantization).toMatchObject({ bnb_4bit_use_double_quant: true });
    expect(tensors.get("model.layers.0.self_attn.k_proj.weight.absmax")!.type).toBe("u8");
    expect([...tensors.keys()].filter((name) => name.endsWith("nested_absmax"))).toHaveLength(14);
    expect(result.weights[0]!.relativeError).toBeLessThan(0.1);
    expect((await valuesOf(out)).size).toBe(source.size);
  });

  it.each([
    ["f16", 2 ** -11],
    ["bf16", 2 ** -8],
  ] as const)("dtype %s: scales and weights that stay", async (dtype, unit) => {
    const { tensors, out } = await make({ dtype });
    for (const [name, { type }] of tensors) expect(type).toBe(/_proj\.weight$/.test(name) ? "i8" : dtype);
    expect(readJson(out, "config.json")).toMatchObject({ torch_dtype: dtype === "f16" ? "float16" : "bfloat16" });
    const [before, after] = [await valuesOf(model), await valuesOf(out)];
    for (const [i, value] of before.get("lm_head.weight")!.entries())
      expect(Math.abs(after.get("lm_head.weight")![i]! - value)).toBeLessThanOrEqual(unit * Math.abs(value));
  });

  it("several files hold the same tensors", async () => {
    const whole = await make({});
    const { tensors, result, out } = await make({ maxShardBytes: 60_000 });
    expect(result.files.length).toBeGreaterThan(3);
    expect([...tensors].map(([name, { bytes }]) => [name, bytes.toString("hex")]).sort()).toEqual(
      [...whole.tensors].map(([name, { bytes }]) => [name, bytes.toString("hex")]).sort(),
    );
    const index = readJson(out, "model.safetensors.index.json");
    expect(index["metadata"]).toEqual({ total_size: result.weightBytes });
    expect(Object.keys(index["weight_map"] as Json).sort()).toEqual([...tensors.keys()].sort());
    expect(await valuesOf(out)).toEqual(await valuesOf(whole.out));
  });

  it("the same call makes the same bytes", async () => {
    const [a, b] = [await make({ scheme: "nf4", doubleQuant: true }), await make({ scheme: "nf4", doubleQuant: true })];
    expect(hashesOf(a.out)).toEqual(hashesOf(b.out));
  });

  it("a dry run writes nothing, and needs no out", async () => {
    const before = readdirSync(root);
    const planned: unknown[] = [];
    const hooks = { onPlan: (plan: unknown): number => planned.push(plan) };
    const result = await quantize({ model, scheme: "nf4", dryRun: true }, hooks);
    expect(result).toMatchObject({ out: null, quantizedParameters: 294912, weights: [], files: [] });
    expect(result.peakBytes).toBeGreaterThan(64e6);
    expect(planned).toHaveLength(1);
    expect(readdirSync(root)).toEqual(before);
    expect(existsSync("null")).toBe(false);
  });
});
