import {
  ceilingKindOf,
  decodeStepBytes,
  prefillFlops,
  weightBytesPerStep,
  weightFormatsOf,
  type PackedTensor,
} from "../../../src/bench/work.js";
import { kvBytesPerToken } from "../../../src/engine/kv-cache.js";

const shape = { numLayers: 2, numHeads: 4, numKvHeads: 2, headDim: 8, tieWordEmbeddings: false };

function tensor(role: string, format: string, n: number, k: number, sizeBytes: number): PackedTensor {
  return { role, part: "weight", format, n, k, sizeBytes };
}

const tensors = [
  tensor("embed_tokens", "f16", 100, 16, 3200),
  tensor("q_proj", "int8-w8a8", 32, 16, 640),
  tensor("norm", "f32", 16, 1, 64),
  tensor("down_proj", "f16", 16, 16, 512),
  tensor("lm_head", "f32", 100, 16, 6400),
];

describe("bytes of a decode step", () => {
  it("leaves out the embedding table, and counts a tied one once", () => {
    expect(weightBytesPerStep(shape, tensors)).toBe(640 + 64 + 512 + 6400);
    const tied = tensors.filter((row) => row.role !== "lm_head");
    expect(weightBytesPerStep({ ...shape, tieWordEmbeddings: true }, tied)).toBe(3200 + 640 + 64 + 512);
  });

  it("reads the keys and values of the mean context", () => {
    expect(kvBytesPerToken(shape, "f32")).toBe(2 * 2 * 2 * 8 * 4);
    expect(kvBytesPerToken(shape, "bf16")).toBe(2 * 2 * 2 * 8 * 2);
    expect(kvBytesPerToken(shape, "int8")).toBe(2 * 2 * 2 * (8 + 4)); // a scale for each token and kv head
    // Steps attend to 11, 12 and 13 tokens: 12 on average = ISL + OSL / 2.
    expect(decodeStepBytes(shape, tensors, { isl: 10, osl: 4, batch: 3, kvDtype: "f32" })).toBe(7616 + 3 * 12 * 256);
  });
});

describe("operations of a prefill", () => {
  it("counts linear layers, one row of the head, and causal attention", () => {
    let attention = 0;
    for (let token = 1; token <= 5; ++token) attention += 4 * 2 * 4 * 8 * token;
    const layers = 2 * (32 * 16 + 16 * 16) * 5;
    expect(prefillFlops(shape, tensors, { isl: 5, batch: 2 })).toBe(2 * (layers + 2 * 1600 + attention));
  });
});

describe("formats", () => {
  it("orders the layers' formats by bytes", () => {
    expect(weightFormatsOf(tensors)).toEqual(["int8-w8a8", "f16"]);
  });

  it("knows whose ceiling counts", () => {
    expect(ceilingKindOf("int8-w8a8", "avx2")).toBe("int8");
    expect(ceilingKindOf("bf16", "avx512_bf16")).toBe("bf16");
    expect(ceilingKindOf("bf16", "avx2")).toBe("f32");
    expect(ceilingKindOf("int8", "avx512")).toBe("f32");
    expect(ceilingKindOf(undefined, "ref")).toBe("f32");
  });
});
