/** Models that are quantized already: their codes in the graph, or floats where ONNX has no such codes. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../../src/binding.js";
import { openCheckpoint, readTensor } from "../../../../src/checkpoint/index.js";
import { exportOnnx } from "../../../../src/export/onnx/index.js";
import { tensorTypes } from "../../../../src/export/onnx/tensor-types.js";
import { compareExact } from "../../../compare.js";
import { safetensorsBytes } from "../../../model-files.js";
import { temporaryDirectory } from "../../../temporary.js";
import { quantizedModel, quantizedModels, readSafetensors } from "../../checkpoint/quantized/fixtures.js";
import { bytesOf, exportTo, type Exported } from "./exported.js";

const root = temporaryDirectory();
let count = 0;
const fresh = (): string => join(root, `out${count++}`);

const kinds = Object.fromEntries(Object.entries(tensorTypes).map(([kind, id]) => [id, kind]));
const formats = binding.testing["number_formats"]!({}) as { id: string; values: Float32Array }[];
const e4m3 = formats.find(({ id }) => id === "fp8_e4m3")!.values;

interface Values {
  kind: string;
  dims: number[];
  at: (i: number) => number;
}

function valuesOf({ path, model }: Exported, name: string): Values | undefined {
  const tensor = model.graph.initializer.find((one) => one.name === name);
  if (tensor === undefined) return undefined;
  const [bytes, kind] = [bytesOf(path, tensor), kinds[tensor.dataType]!];
  const floats = kind === "f32" ? new Float32Array(Uint8Array.from(bytes).buffer) : new Float32Array();
  const readers: Record<string, Values["at"]> = {
    f32: (i) => floats[i]!,
    int8: (i) => (bytes[i]! << 24) >> 24,
    int4: (i) => (((bytes[i >> 1]! >> (4 * (i & 1))) & 15) ^ 8) - 8,
    fp8: (i) => e4m3[bytes[i]!]!,
  };
  return { kind, dims: tensor.dims.map(Number), at: readers[kind]! };
}

/** What DequantizeLinear gives, as [out, in] again; undefined when the weight has no codes. */
function dequantized(model: Exported, name: string): { kind: string; values: Float32Array } | undefined {
  const codes = valuesOf(model, `${name}_quantized`);
  if (codes === undefined) return undefined;
  const [scales, zeros] = [valuesOf(model, `${name}_scale`)!, valuesOf(model, `${name}_zero_point`)];
  const node = model.model.graph.node.find(({ input }) => input[0] === `${name}_quantized`)!;
  const attribute = (key: string): number => Number(node.attribute.find((one) => one.name === key)!.i);
  const [cols, rows] = codes.dims as [number, number];
  const size = scales.dims.length === 1 ? cols : attribute("block_size");
  expect(attribute("axis")).toBe(scales.dims.length === 1 ? 1 : 0);
  expect(node.input.length).toBe(zeros === undefined ? 2 : 3);
  const values = Float32Array.from({ length: rows * cols }, (_, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols];
    const at = Math.floor(col / size) * rows + row;
    return (codes.at(col * rows + row) - (zeros?.at(at) ?? 0)) * scales.at(at) + 0;
  });
  return { kind: codes.kind, values };
}

/** Those whose codes the graph cannot hold. */
const floats = ["bitsandbytes-fp4", "bitsandbytes-nf4-nested", "gptq-act-order", "mxfp4", "nvfp4"];

it.each(quantizedModels)("%s: DequantizeLinear gives the weights that the model stands for", async (name) => {
  const found = await exportTo(fresh(), quantizedModel(name));
  await using checkpoint = await openCheckpoint(quantizedModel(name));
  const quantized = [...checkpoint.tensors.values()].filter((tensor) => tensor.quantized !== undefined);
  expect(quantized.length).toBeGreaterThan(0);
  expect([...found.result.dequantized].sort()).toEqual(
    floats.includes(name) ? quantized.map((tensor) => tensor.name).sort() : [],
  );
  for (const tensor of quantized) {
    const expected = (await readTensor(tensor)).map((value) => value + 0);
    const actual = dequantized(found, tensor.name);
    expect([tensor.name, actual === undefined]).toEqual([tensor.name, floats.includes(name)]);
    if (actual === undefined) {
      const { at, dims } = valuesOf(found, tensor.name)!;
      expect(dims).toEqual([tensor.cols, tensor.rows]);
      const turned = expected.map((_, i) => at((i % tensor.cols) * tensor.rows + Math.floor(i / tensor.cols)) + 0);
      compareExact(turned, expected, tensor.name);
    } else {
      expect(actual.kind).toBe(tensor.quantized!.type.replace("_e4m3", ""));
      compareExact(actual.values, expected, tensor.name);
    }
  }
});

it("quantizes with --quantize only what is in floats", async () => {
  const int4 = await exportTo(fresh(), quantizedModel("int8-channel"), { quantize: "int4", groupSize: 32 });
  expect(dequantized(int4, "model.layers.0.mlp.up_proj.weight")!.kind).toBe("int8");
  const nf4 = await exportTo(fresh(), quantizedModel("bitsandbytes-fp4"), { quantize: "int4", groupSize: 32 });
  expect(dequantized(nf4, "model.layers.0.mlp.up_proj.weight")!.kind).toBe("int4");
  expect(nf4.result.dequantized.length).toBe(7);
});

it("has floats where f16 cannot hold the scales", async () => {
  const source = fresh();
  cpSync(quantizedModel("int8-channel"), source, { recursive: true });
  const tensors = readSafetensors(join(source, "model.safetensors"));
  const scale = tensors.find(({ name }) => name.endsWith("up_proj.weight_scale"))!;
  expect(scale.dtype).toBe("F32");
  scale.bytes.writeFloatLE(1e-8, 4);
  writeFileSync(join(source, "model.safetensors"), safetensorsBytes(tensors));
  expect((await exportTo(fresh(), source, { dtype: "bf16" })).result.dequantized).toEqual([]);
  const { result } = await exportTo(fresh(), source, { dtype: "f16" });
  expect(result.dequantized).toEqual(["model.layers.0.mlp.up_proj.weight"]);
});

it("leaves no quantization_config: the weights are in the graph", async () => {
  const { path } = await exportTo(fresh(), quantizedModel("int4-g32"), { dtype: "f16" });
  const config = JSON.parse(readFileSync(join(path, "config.json"), "utf8")) as Record<string, unknown>;
  expect(config["quantization_config"]).toBeUndefined();
});

it("stops between weights", async () => {
  await using checkpoint = await openCheckpoint(quantizedModel("gptq-g32"));
  const signal = AbortSignal.abort();
  await expect(exportOnnx(checkpoint, fresh(), {}, { signal })).rejects.toThrow(
    expect.objectContaining({ code: "ERR_ABORTED" }),
  );
});
