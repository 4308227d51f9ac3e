import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkTensors, openCheckpoint, readTensor } from "../../../src/checkpoint/index.js";

interface Models {
  models: { file: string; tied: boolean; bias: boolean; sha256: Record<string, string> }[];
}

const fixtures = join(__dirname, "../../fixtures/gguf");
const { models } = JSON.parse(readFileSync(join(fixtures, "models.json"), "utf8")) as Models;

describe.each(models)("$file", ({ file, tied, bias, sha256 }) => {
  it("has the spec that was written", async () => {
    await using checkpoint = await openCheckpoint(join(fixtures, file));
    expect(checkpoint.spec).toEqual({
      family: "llama",
      vocabSize: 70,
      hiddenSize: 64,
      intermediateSize: 96,
      numLayers: 2,
      numHeads: 4,
      numKvHeads: 2,
      headDim: 16,
      maxPositions: 256,
      normEps: 1e-5,
      hiddenAct: "silu",
      tieWordEmbeddings: tied,
      attentionBias: bias,
      attentionOutBias: bias,
      mlpBias: bias,
      rope: { type: "default", theta: 20000, rotaryDim: 16, interleaved: false },
      bosTokenId: 1,
      eosTokenIds: [2],
      padTokenId: null,
    });
    checkTensors(checkpoint);
  });

  it("gives every tensor as the gguf package does, q and k rows in Hugging Face order", async () => {
    await using checkpoint = await openCheckpoint(join(fixtures, file));
    const found: Record<string, string> = {};
    for (const [name, tensor] of checkpoint.tensors)
      found[name] = createHash("sha256")
        .update(new Uint8Array((await readTensor(tensor)).buffer))
        .digest("hex");
    expect(found).toEqual(sha256);
  });

  it("reads any range of rows", async () => {
    await using checkpoint = await openCheckpoint(join(fixtures, file));
    const tensor = checkpoint.tensors.get("model.layers.1.self_attn.k_proj.weight")!;
    const whole = await readTensor(tensor);
    const part = await readTensor(tensor, { rowBegin: 5, rowCount: 13 });
    expect(part).toEqual(whole.slice(5 * 64, 18 * 64));
  });
});
