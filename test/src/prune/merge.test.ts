import { openCheckpoint, readTensorAs } from "../../../src/checkpoint/index.js";
import { rounded } from "../../../src/prune/merge.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { random } from "../train/toy-trainer.js";
import { smallConfig, writeModel } from "./fixtures.js";

/** Ties, the largest and smallest of half precision and what lies about them, zeros of both signs. */
const corners = [
  0,
  -0,
  1,
  1 + 2 ** -11,
  1 + 3 * 2 ** -11,
  -(1 + 2 ** -8),
  1 + 2 ** -9,
  65503,
  65519,
  2 ** -14,
  2 ** -24,
];
corners.push(2 ** -25, 1.5 * 2 ** -24, 2.5 * 2 ** -24, 2 ** -14 - 2 ** -25, 2 ** -26, -6e-5, 1e-40, 2047.5, 2048.5);

it("rounds to 16 bits as the core does", async () => {
  const draw = random(5);
  const all: number[] = [];
  const model = writeModel(`${temporaryDirectory()}/m`, smallConfig, 1, (values, { role }) => {
    if (role !== "embed_tokens") return;
    values.forEach((_, i) => (values[i] = corners[i] ?? (draw() - 0.5) * 2 ** Math.floor(30 * (draw() - 0.75))));
    all.push(...values);
  });
  await using checkpoint = await openCheckpoint(model);
  for (const dtype of ["f32", "f16", "bf16"] as const) {
    const expected = await readTensorAs(checkpoint.tensors.get("model.embed_tokens.weight")!, dtype);
    expect(rounded(Float32Array.from(all), dtype, "x")).toEqual(expected);
  }
});

it("refuses what overflows", () => {
  expect(() => rounded(Float32Array.of(1, 65520), "f16", "q_proj")).toThrow(
    coded("ERR_WEIGHT_VALUE", "q_proj", "65520"),
  );
  expect(() => rounded(Float32Array.of(3.4e38), "bf16", "q_proj")).toThrow(coded("ERR_WEIGHT_VALUE", "bf16"));
  expect(() => rounded(Float32Array.of(NaN), "f16", "q_proj")).toThrow(coded("ERR_WEIGHT_VALUE"));
});
