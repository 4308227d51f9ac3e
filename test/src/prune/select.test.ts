import { specFromConfig } from "../../../src/model/hf-config.js";
import { best, keptLayers, partnersOf, select } from "../../../src/prune/select.js";
import type { ImportanceScores } from "../../../src/prune/scores.js";
import { parseDropLayers, shapeOf, targetShape } from "../../../src/prune/shape.js";
import { smallConfig } from "./fixtures.js";

const spec = specFromConfig({ ...smallConfig, num_hidden_layers: 6 }, "test");
const none: ImportanceScores = {
  model: "",
  hidden: new Float32Array(24),
  ffn: [],
  heads: [],
  kvGroups: [],
  layers: null,
  contiguous: [],
};

it("keeps the best, ascending, the first of equals", () => {
  expect(best([1, 5, 2, 5, 0], 3)).toEqual(Uint32Array.of(1, 2, 3));
  expect(best([1, 1, 1, 1], 2)).toEqual(Uint32Array.of(0, 1));
  expect(best([1, 2], 2)).toBeNull();
});

it("drop-layers counts from 1, as NeMo's: 16-31 of 32 keeps 1-15 and 32", () => {
  const dropped = parseDropLayers("16-31", 32);
  expect(dropped[0]).toBe(15);
  expect(dropped).toHaveLength(16);
  expect(dropped).not.toContain(31);
  expect(parseDropLayers("5, 2-3,3", 6)).toEqual([1, 2, 4]);
});

it("layers: by block importance, or the block whose absence costs least", () => {
  const scores = { ...none, layers: Float64Array.of(9, 0.1, 0.5, 0.3, 0.2, 8) };
  const importance = { dropLayers: undefined, layerMethod: "block-importance" } as const;
  expect(keptLayers(spec, 4, importance, scores)).toEqual([0, 2, 3, 5]);
  const contiguous = [{ size: 2, lossWithout: Float64Array.of(9, 4, 2, 3, 7) }];
  const method = { dropLayers: undefined, layerMethod: "contiguous-loss" } as const;
  expect(keptLayers(spec, 4, method, { ...scores, contiguous })).toEqual([0, 1, 4, 5]);
});

it("only what changes is listed", () => {
  const options = { dropLayers: "2", layerMethod: "block-importance", mergeHeads: false } as const;
  const { layers, hidden, perLayer } = select(spec, { ...shapeOf(spec), layers: 5 }, options, null);
  expect(layers).toEqual([0, 2, 3, 4, 5]);
  expect([hidden, ...perLayer.map((layer) => layer.ffn)].every((kept) => kept === null)).toBe(true);
});

// Ranks 1...L are heads 0...L-1; i from max(1, 2K - L + 1) to K takes up 2K - i + 1.
it.each([
  [8, 6, [-1, -1, -1, -1, 7, 6]],
  [8, 4, [7, 6, 5, 4]],
  [8, 3, [5, 4, 3]],
  [2, 1, [1]],
  [4, 4, [-1, -1, -1, -1]],
])("of %i heads %i stay and take up %j", (all, keep, partners) => {
  const order = Array.from({ length: all }, (_, i) => i);
  expect([...partnersOf({ kept: order.slice(0, keep), contests: [{ order, keep }] })]).toEqual(partners);
});

it("sizes: percentages come out whole and divide", () => {
  expect(targetShape(spec, { hidden: "60%", ffn: "33%", layers: "50%" })).toEqual({
    hidden: 16, // 14.4, a multiple of 4 heads
    ffn: 7,
    heads: 4,
    kvHeads: 2,
    layers: 3,
  });
  expect(targetShape(spec, { heads: "60%" })).toMatchObject({ heads: 2, kvHeads: 2 });
  expect(targetShape(spec, { kvHeads: 1 })).toMatchObject({ heads: 2, kvHeads: 1 });
  const multiHead = specFromConfig({ ...smallConfig, num_key_value_heads: 4 }, "test");
  expect(targetShape(multiHead, { heads: 3 })).toMatchObject({ heads: 3, kvHeads: 3 });
  const mistral = specFromConfig({ ...smallConfig, architectures: ["MistralForCausalLM"] }, "test");
  expect(targetShape(mistral, { hidden: 22 }).hidden).toBe(22); // transformers asks it of Llama alone
});
