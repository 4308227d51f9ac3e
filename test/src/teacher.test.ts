/** The bundled teacher is what its page says: sizes, held-out perplexity, and text that it never saw. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inspectModel } from "../../src/checkpoint/index.js";
import { bundledTeacher, heldOutText } from "../../src/bundled.js";
import { buildEngine, Engine } from "../../src/engine/index.js";
import { evaluatePerplexity } from "../../src/evaluate/index.js";
import { temporaryDirectory } from "../temporary.js";

it("has the sizes it was asked for", async () => {
  const { parameters, spec, dtypes } = await inspectModel(bundledTeacher);
  expect(parameters).toBe(4_066_560);
  expect(spec).toMatchObject({ hiddenSize: 256, intermediateSize: 512, numLayers: 6, numHeads: 4, numKvHeads: 2 });
  expect(spec).toMatchObject({ headDim: 64, vocabSize: 2048, tieWordEmbeddings: true, maxPositions: 512 });
  expect(dtypes.map(({ dtype }) => dtype)).toEqual(["f16"]);
});

it.each([
  ["f32", 37.26],
  ["int8-w8a8", 37.298],
] as const)(
  "%s has the perplexity that its page tells",
  async (weights, recorded) => {
    const out = join(temporaryDirectory(), weights);
    await buildEngine(bundledTeacher, out, { weights });
    await using engine = await Engine.load(out);
    const { text } = await heldOutText();
    const { perplexity, bitsPerByte } = await evaluatePerplexity(engine, { text, window: 512 });
    expect(Math.abs(perplexity / recorded - 1)).toBeLessThan(weights === "f32" ? 1e-4 : 2e-3);
    const page = readFileSync(join(bundledTeacher, "README.md"), "utf8");
    expect(page).toContain(recorded.toFixed(3));
    expect(bitsPerByte).toBeCloseTo(1.671, 2);
  },
  120_000,
);
