import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { openCheckpoint, readTensor } from "../../../../src/checkpoint/index.js";
import { exportOnnx, type OnnxOptions } from "../../../../src/export/onnx/index.js";
import { quantize } from "../../../../src/quantize/index.js";
import { coded, safetensorsBytes, tinyConfig, tinyTensors, writeTinyDirectory } from "../../../model-files.js";
import { temporaryDirectory } from "../../../temporary.js";
import { bytesOf, digestOf, exportTo, type Exported } from "./exported.js";
import { writePrunedShape } from "./pruned-shape.js";

interface Case {
  model: string;
  /** Flags of `quantize`, which comes first. */
  scheme?: string;
  options: Record<string, string | boolean>;
  digest: string;
}

const fixtures = join(__dirname, "../../../fixtures");
const repository = join(__dirname, "../../../..");
const { cases } = JSON.parse(readFileSync(join(fixtures, "onnx/logits.json"), "utf8")) as { cases: Case[] };
const root = temporaryDirectory();
let count = 0;
const fresh = (): string => join(root, `out${count++}`);

const exported = (source: string, options: OnnxOptions = {}): Promise<Exported> => exportTo(fresh(), source, options);

const prunedShape = writePrunedShape(fresh());

function sourceOf(model: string): string {
  if (model === "pruned shape") return prunedShape;
  return model.startsWith("models/") ? join(repository, model) : join(fixtures, model);
}

function optionsOf(flags: Case["options"]): OnnxOptions {
  const { dtype, quantize } = flags;
  return {
    ...(dtype === undefined ? {} : { dtype: dtype as "f32" }),
    ...(quantize === undefined ? {} : { quantize: quantize as "int8" }),
    ...(flags["group-size"] === undefined ? {} : { groupSize: Number(flags["group-size"]) }),
    ...(flags["include-head"] === undefined ? {} : { includeHead: true }),
    ...(flags["external-data"] === undefined ? {} : { externalData: true }),
  };
}

/** The model of a case, quantized where it says so. */
async function preparedSource({ model, scheme }: Case): Promise<string> {
  if (scheme === undefined) return sourceOf(model);
  const groupSize = /--group-size (\d+)/.exec(scheme)?.[1];
  const out = fresh();
  await quantize({
    model: sourceOf(model),
    scheme: /--scheme (\S+)/.exec(scheme)![1]!,
    ...(groupSize === undefined ? {} : { groupSize: Number(groupSize) }),
    include: [...scheme.matchAll(/--include (\S+)/g)].map((found) => found[1]!),
    asymmetric: scheme.includes("--asymmetric"),
    out,
  });
  return out;
}

/** The others are not in the repository, or take seconds. */
const here = cases.filter(
  ({ model, options }) =>
    existsSync(sourceOf(model)) && (model === "pruned shape" || options["quantize"] === undefined),
);

it("has cases of every dtype and kind", () => {
  const kinds = new Set(here.map(({ options }) => `${options["dtype"] ?? "f32"} ${options["quantize"] ?? ""}`.trim()));
  expect([...kinds].sort()).toEqual([
    "bf16",
    "bf16 int8",
    "f16",
    "f16 int4",
    "f16 int8",
    "f32",
    "f32 fp8",
    "f32 int4",
    "f32 int8",
  ]);
});

it.each(here)("$model $scheme $options: what onnxruntime gave the engine's logits for", async (row) => {
  const { path, model } = await exported(await preparedSource(row), optionsOf(row.options));
  expect(digestOf(path, model)).toBe(row.digest);
});

it("has a digest that one bit of a weight, or another input of a node, changes", async () => {
  const { path, model } = await exported(prunedShape);
  const digest = digestOf(path, model);
  const { initializer, node } = model.graph;
  initializer.at(-1)!.rawData![5]! ^= 1;
  expect(digestOf(path, model)).not.toBe(digest);
  initializer.at(-1)!.rawData![5]! ^= 1;
  expect(digestOf(path, model)).toBe(digest);
  node[7]!.input[0] = "x";
  expect(digestOf(path, model)).not.toBe(digest);
});

it("names inputs and outputs as Optimum does, in opset 21 of IR version 10", async () => {
  const { model } = await exported(join(fixtures, "tiny-llama/plain-v5"));
  expect(model.irVersion).toBe(10n);
  expect(model.opsetImport).toMatchObject([{ domain: "", version: 21n }]);
  const layers = ["0.key", "0.value", "1.key", "1.value"];
  expect(model.graph.input.map(({ name }) => name)).toEqual([
    ...["input_ids", "attention_mask", "position_ids"],
    ...layers.map((name) => `past_key_values.${name}`),
  ]);
  expect(model.graph.output.map(({ name }) => name)).toEqual(["logits", ...layers.map((name) => `present.${name}`)]);
});

it("writes linear layers transposed and the others as they are", async () => {
  const source = join(fixtures, "tiny-llama/bias-v5");
  const { path, model } = await exported(source);
  await using checkpoint = await openCheckpoint(source);
  const [linear, plain] = ["model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight"];
  const stored = (name: string): { dims: number[]; values: Float32Array } => {
    const tensor = model.graph.initializer.find((one) => one.name === name)!;
    return { dims: tensor.dims.map(Number), values: new Float32Array(Uint8Array.from(bytesOf(path, tensor)).buffer) };
  };
  const weight = await readTensor(checkpoint.tensors.get(linear)!);
  const { rows, cols } = checkpoint.tensors.get(linear)!;
  expect(stored(linear).dims).toEqual([cols, rows]);
  expect(stored(linear).values).toEqual(weight.map((_, i) => weight[(i % rows) * cols + Math.floor(i / rows)]!));
  expect(stored(plain).values).toEqual(await readTensor(checkpoint.tensors.get(plain)!));
});

it("puts weights outside when asked to, at pages, and keeps the constants of the graph inside", async () => {
  const source = join(repository, "models/teacher");
  const { path, model } = await exported(source, { externalData: true, dtype: "f16" });
  const outside = model.graph.initializer.filter(({ dataLocation }) => dataLocation === 1);
  const inside = model.graph.initializer.filter(({ dataLocation }) => dataLocation !== 1);
  expect(inside.every(({ name }) => /^constants\/|inv_freq$/.test(name))).toBe(true);
  let end = 0;
  for (const { externalData } of outside) {
    const { offset, length, location } = Object.fromEntries(externalData!.map(({ key, value }) => [key, value]));
    expect(location).toBe("model.onnx_data");
    expect(Number(offset) % (Number(length) < 4096 ? 64 : 4096)).toBe(0);
    expect(Number(offset)).toBeGreaterThanOrEqual(end);
    end = Number(offset) + Number(length);
  }
  expect(readFileSync(join(path, "model.onnx_data")).length).toBe(end);
  const lineage = JSON.parse(readFileSync(join(path, "espalier.json"), "utf8")) as object;
  const options = { to: "onnx", dtype: "f16", quantize: null, groupSize: null, externalData: true };
  expect(lineage).toMatchObject({ step: "export", options });
  const config = JSON.parse(readFileSync(join(path, "config.json"), "utf8")) as object;
  const forTransformersJs = { dtype: "fp32", kv_cache_dtype: "float16", use_external_data_format: true };
  expect(config).toMatchObject({ "transformers.js_config": forTransformersJs });
  expect(readdirSync(path)).toEqual(expect.arrayContaining(["tokenizer.json", "generation_config.json"]));
});

describe("when it cannot be done, nothing is left", () => {
  const parent = fresh();
  mkdirSync(parent);
  const target = join(parent, "out");
  const tiny = writeTinyDirectory(fresh());
  afterEach(() => {
    jest.restoreAllMocks();
    expect(readdirSync(parent)).toEqual([]);
  });

  it.each<[object, string, string[]]>([
    [{ dtype: "f64" }, "ERR_ARGUMENT", ["dtype", "f64"]],
    [{ quantize: "nf4" }, "ERR_ARGUMENT", ["quantize", "nf4"]],
    [{ quantise: "int8" }, "ERR_ARGUMENT", ["quantise", "quantize"]],
    [{ groupSize: 32 }, "ERR_ARGUMENT", ["groupSize 32", "int4"]],
    [{ quantize: "int8", groupSize: 32 }, "ERR_ARGUMENT", ["groupSize 32", "int8"]],
    [{ quantize: "int4", groupSize: 1.5 }, "ERR_ARGUMENT", ["groupSize", "1.5"]],
    [{ quantize: "int4" }, "ERR_QUANT_GROUP_SIZE", ["128", "32 columns of q_proj", "use 32"]],
    [{ quantize: "int4", groupSize: 16 }, "ERR_QUANT_GROUP_SIZE", ["16 is none of 32, 64, 128", "use 32"]],
    [{ quantize: "int4", groupSize: 0 }, "ERR_QUANT_GROUP_SIZE", ["group size 0"]],
    [{ includeHead: true }, "ERR_ARGUMENT", ["includeHead", "quantize"]],
    [{ externalData: "yes" }, "ERR_ARGUMENT", ["externalData"]],
  ])("because of %j", async (options, code, parts) => {
    await using checkpoint = await openCheckpoint(tiny);
    await expect(exportOnnx(checkpoint, target, options as OnnxOptions)).rejects.toThrow(coded(code, ...parts));
  });

  it("because no group size divides the columns", async () => {
    await using checkpoint = await openCheckpoint(join(fixtures, "tiny-llama/plain-v5"));
    await expect(exportOnnx(checkpoint, target, { quantize: "int4", groupSize: 64 })).rejects.toThrow(
      coded("ERR_QUANT_GROUP_SIZE", "40 columns of q_proj", "int8 or fp8"),
    );
  });

  it("because a weight is not finite", async () => {
    const source = writeTinyDirectory(fresh());
    const tensors = tinyTensors();
    const weight = tensors.find(({ name }) => name.endsWith("up_proj.weight"))!;
    weight.bytes.writeFloatLE(NaN, 4 * (3 * 32 + 5));
    writeFileSync(join(source, "model.safetensors"), safetensorsBytes(tensors));
    await using checkpoint = await openCheckpoint(source);
    for (const quantize of ["int8", "fp8", "int4"] as const)
      await expect(
        exportOnnx(checkpoint, target, { quantize, ...(quantize === "int4" ? { groupSize: 32 } : {}) }),
      ).rejects.toThrow(coded("ERR_WEIGHT_VALUE", "up_proj.weight", "[3, 5] is nan"));
  });

  it("because a weight is missing", async () => {
    const source = writeTinyDirectory(fresh());
    writeFileSync(join(source, "model.safetensors"), safetensorsBytes(tinyTensors().slice(1)));
    await using checkpoint = await openCheckpoint(source);
    await expect(exportOnnx(checkpoint, target)).rejects.toThrow(coded("ERR_CHECKPOINT_TENSORS"));
  });

  it("because the disk fills up, at any write", async () => {
    await using checkpoint = await openCheckpoint(tiny);
    const probe = await open(join(root, "probe"), "w");
    const prototype = Object.getPrototypeOf(probe) as FileHandle;
    await probe.close();
    for (const failing of [1, 2]) {
      const real = prototype.write as (...args: unknown[]) => Promise<unknown>;
      let calls = 0;
      const spy = jest.spyOn(prototype, "write").mockImplementation(function (this: FileHandle, ...args: unknown[]) {
        if (++calls < failing) return real.apply(this, args) as never;
        throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" });
      });
      await expect(exportOnnx(checkpoint, target, { externalData: true })).rejects.toThrow(
        coded("ERR_DISK_FULL", target),
      );
      spy.mockRestore();
    }
  });

  it("because it was stopped", async () => {
    await using checkpoint = await openCheckpoint(tiny);
    const controller = new AbortController();
    const controls = { signal: controller.signal, onProgress: () => controller.abort() };
    await expect(exportOnnx(checkpoint, target, {}, controls)).rejects.toThrow(coded("ERR_ABORTED"));
    await expect(exportOnnx(checkpoint, target, {}, controls)).rejects.toThrow(coded("ERR_ABORTED"));
  });
});

it("refuses a place that is taken, and one that cannot be written", async () => {
  await using checkpoint = await openCheckpoint(writeTinyDirectory(fresh()));
  const taken = fresh();
  mkdirSync(taken);
  await expect(exportOnnx(checkpoint, taken)).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", taken));
  await expect(exportOnnx(checkpoint, "/proc/espalier/out")).rejects.toThrow(coded("ERR_FILE_WRITE"));
  await expect(exportOnnx(checkpoint, "")).rejects.toThrow(coded("ERR_ARGUMENT"));
});

it("says how far it is", async () => {
  await using checkpoint = await openCheckpoint(writeTinyDirectory(fresh(), { ...tinyConfig, num_hidden_layers: 2 }));
  const steps: number[] = [];
  const onProgress = ({ bytesDone, bytesTotal }: { bytesDone: number; bytesTotal: number }): void => {
    steps.push(bytesDone / bytesTotal);
  };
  await exportOnnx(checkpoint, fresh(), { quantize: "fp8", externalData: true }, { onProgress });
  expect(steps.at(-1)).toBe(1);
  expect(steps).toEqual([...steps].sort((a, b) => a - b));
});
