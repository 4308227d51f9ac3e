import { createHash } from "node:crypto";
import { join } from "node:path";
import { checkTensors, openCheckpoint, readTensor } from "../../../../src/checkpoint/index.js";
import { buildEngine, Engine } from "../../../../src/engine/index.js";
import { temporaryDirectory } from "../../../temporary.js";
import { largestDifference } from "../../engine/fixtures.js";
import { expectedModel, quantizedModel, quantizedModels } from "./fixtures.js";

const root = temporaryDirectory();

/** -0 counts as 0: bitsandbytes' own kernels differ there. */
const sha256 = (values: Float32Array): string =>
  createHash("sha256")
    .update(new Uint8Array(values.map((value) => value + 0).buffer))
    .digest("hex");

/** Largest difference of the logits over the largest one: of f32 sums, and of 16-bit inputs of grouped codes. */
const F32_SUMS = 1e-5;
const INT16_INPUTS = 5e-4;
const INT14_INPUTS = 2e-3;
const bounds: Record<string, { bound: number; dequantized?: number }> = {
  "bitsandbytes-nf4-nested": { bound: INT14_INPUTS },
  "gptq-act-order": { bound: 2e-3, dequantized: 7 }, // weights rounded to f16
  // compressed-tensors rounds activations to absmax / 127.5, engines to absmax / 127: other codes of 8 bits.
  "int8-channel": { bound: 0.1 },
  nvfp4: { bound: 2e-3, dequantized: 7 },
};

/** Their references round activations too, which engines of floats do not. */
const roundActivations = ["fp8-channel", "fp8-static", "int8-channel", "int8-static"];

describe.each(quantizedModels)("the quantized checkpoint %s", (name) => {
  const expected = expectedModel(name);

  it("is read as its tool dequantizes it, whole and in pieces", async () => {
    await using checkpoint = await openCheckpoint(quantizedModel(name));
    checkTensors(checkpoint);
    expect([...checkpoint.tensors.keys()].sort()).toEqual(Object.keys(expected.dequantized).sort());
    for (const [tensorName, digest] of Object.entries(expected.dequantized)) {
      const tensor = checkpoint.tensors.get(tensorName)!;
      expect([tensorName, tensor.quantized !== undefined]).toEqual([tensorName, tensorName.includes("_proj")]);
      const whole = await readTensor(tensor);
      expect([tensorName, sha256(whole)]).toEqual([tensorName, digest]);
      if (tensor.rows < 8) continue;
      const piece = await readTensor(tensor, { rowBegin: 3, rowCount: 4 });
      expect(piece).toEqual(whole.subarray(3 * tensor.cols, 7 * tensor.cols));
    }
  });

  /** Of an engine, to the reference's logits over their largest. */
  const difference = async (directory: string): Promise<number> => {
    await using engine = await Engine.load(directory);
    const rows = await engine.logits(expected.ids, { all: true });
    const largest = expected.logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    return (
      largestDifference(
        rows.flatMap((row) => [...row]),
        expected.logits,
      ) / largest
    );
  };

  it("is built as it is and gives the reference's logits", async () => {
    const { bound, dequantized = 0 } = bounds[name] ?? { bound: INT16_INPUTS };
    const report = await buildEngine(quantizedModel(name), join(root, name));
    expect(report.dequantized).toHaveLength(dequantized);
    expect(await difference(join(root, name))).toBeLessThan(bound);
  });

  if (roundActivations.includes(name)) return;
  it("gives the reference's logits when built as floats", async () => {
    await buildEngine(quantizedModel(name), join(root, `${name}-f32`), { overrides: { "*": "f32" } });
    expect(await difference(join(root, `${name}-f32`))).toBeLessThan(F32_SUMS);
  });
});
