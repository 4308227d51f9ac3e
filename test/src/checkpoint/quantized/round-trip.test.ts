/** What quantize writes against what the tools themselves made of the same weights. */
import { join } from "node:path";
import { quantize, type QuantizeOptions } from "../../../../src/quantize/index.js";
import { temporaryDirectory } from "../../../temporary.js";
import { quantizedModel, readSafetensors, sourceModel } from "./fixtures.js";

const root = temporaryDirectory();

const told: Record<string, Omit<QuantizeOptions, "model" | "out">> = {
  "int8-channel": { scheme: "w8a8" },
  "fp8-channel": { scheme: "fp8-dynamic" },
  "int4-g32": { scheme: "w4a16", groupSize: 32 },
  "int4-g64-asym": { scheme: "w4a16", groupSize: 64, asymmetric: true },
  "int8-g32-asym": { scheme: "w8a16", groupSize: 32, asymmetric: true },
  nvfp4: { scheme: "nvfp4" },
  mxfp4: { scheme: "mxfp4" },
  mxfp8: { scheme: "mxfp8" },
  mixed: { scheme: "w4a16", groupSize: 32, overrides: { "*.mlp.*": "fp8" } },
  "bitsandbytes-nf4-nested": { scheme: "nf4", doubleQuant: true },
  "bitsandbytes-fp4": { scheme: "fp4" },
};

it.each(Object.entries(told))("%s: the tool's own bytes", async (name, options) => {
  await quantize({ ...options, model: sourceModel, dtype: "f32", out: join(root, name) });
  const expected = new Map(
    readSafetensors(join(quantizedModel(name), "model.safetensors")).map((tensor) => [tensor.name, tensor]),
  );
  const found = readSafetensors(join(root, name, "model.safetensors"));
  expect(found.map((tensor) => tensor.name).sort()).toEqual([...expected.keys()].sort());
  for (const { name: tensorName, dtype, shape, bytes } of found) {
    const other = expected.get(tensorName)!;
    expect({ tensorName, dtype, shape }).toEqual({ tensorName, dtype: other.dtype, shape: other.shape });
    if (tensorName.includes("quant_state")) expect(state(bytes)).toEqual(state(other.bytes));
    else if (name === "bitsandbytes-fp4" && tensorName.endsWith("_proj.weight"))
      expect(differentFp4(bytes, other.bytes)).toBeLessThanOrEqual(2);
    else expect([tensorName, bytes.equals(other.bytes)]).toEqual([tensorName, true]);
  }
});

/** Codes that differ, both codes of 0 taken as one: exact ties alone, which bitsandbytes' own kernels break differently. */
function differentFp4(found: Buffer, expected: Buffer): number {
  const code = (nibble: number): number => (nibble === 8 ? 0 : nibble);
  const codes = (of: Buffer): number[] => [...of].flatMap((byte) => [code(byte >> 4), code(byte & 15)]);
  const other = codes(expected);
  return codes(found).filter((value, i) => value !== other[i]).length;
}

/** nested_offset to 2 ulp: the tool adds the mean up in another order. */
function state(bytes: Buffer): object {
  const { nested_offset: offset, ...rest } = JSON.parse(bytes.toString("utf8")) as Record<string, unknown>;
  return offset === undefined ? rest : { ...rest, offset: expect.closeTo(offset as number, 6) as unknown };
}

it("a distilled DistilBERT in nf4 with double quantization has the published size", () => {
  // 4 layers of q, k, v, out [768, 768], lin1 [3072, 768], lin2 [768, 3072]; then pre_classifier [768, 768].
  const width = 768;
  const layer = [width, width, width, width, 4 * width, 4 * width].map((rows) => rows * width);
  const linears = [...Array.from({ length: 4 }, () => layer).flat(), width * width];
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
  const blocks = linears.map((weights) => Math.ceil(weights / 64));
  const bytes = {
    codes: sum(linears.map((weights) => Math.ceil(weights / 2))),
    absmax: sum(blocks),
    nested: sum(blocks.map((of) => Math.ceil(of / 256) * 4)),
    maps: linears.length * (16 + 256) * 4,
  };
  expect(bytes).toEqual({ codes: 14_450_688, absmax: 451_584, nested: 7_056, maps: 27_200 });
  const embeddings = (30_522 + 512 + 2) * width;
  const biases = 4 * (5 * width + 4 * width) + width;
  const norms = 4 * 4 * width;
  const classifier = 2 * width + 2;
  const halves = 2 * (embeddings + biases + norms + classifier);
  expect(sum(Object.values(bytes)) + halves).toBe(62_692_308);
});

it("the parts of a nested weight have those sizes", async () => {
  await quantize({ model: sourceModel, scheme: "nf4", doubleQuant: true, out: join(root, "sizes") });
  const found = readSafetensors(join(root, "sizes", "model.safetensors"));
  const size = (suffix: string): number =>
    found.find(({ name }) => name === `model.layers.0.mlp.up_proj.${suffix}`)!.bytes.length;
  const suffixes = ["weight", "weight.absmax", "weight.nested_absmax", "weight.quant_map", "weight.nested_quant_map"];
  expect(suffixes.map(size)).toEqual([2048, 64, 4, 64, 1024]);
});
