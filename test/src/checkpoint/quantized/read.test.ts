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

/** Largest difference of the logits over the largest one, where it is not that of f32 sums. */
const bounds: Record<string, { bound: number; dequantized?: number }> = {
  "gptq-act-order": { bound: 2e-3, dequantized: 7 }, // weights rounded to f16
  // compressed-tensors rounds activations to absmax / 127.5, engines to absmax / 127: other codes of 8 bits.
  "int8-channel": { bound: 0.1 },
  nvfp4: { bound: 2e-3, dequantized: 7 },
};

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

  it("is built as it is and gives the reference's logits", async () => {
    const { bound, dequantized = 0 } = bounds[name] ?? { bound: 1e-5 };
    const report = await buildEngine(quantizedModel(name), join(root, name));
    expect(report.dequantized).toHaveLength(dequantized);
    await using engine = await Engine.load(join(root, name));
    const rows = await engine.logits(expected.ids, { all: true });
    const largest = expected.logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const found = rows.flatMap((row) => [...row]);
    const difference = largestDifference(found, expected.logits) / largest;
    expect(difference).toBeLessThan(bound);
  });
});
