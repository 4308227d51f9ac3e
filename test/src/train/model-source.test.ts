import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { frozenNames, openModelSource, trainerModel } from "../../../src/train/model-source.js";
import { coded, tinyConfig, writeTinyDirectory } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

const open = (config: string | Record<string, unknown>, tokenizer?: string): ReturnType<typeof openModelSource> =>
  openModelSource({ config, tokenizer, model: undefined });

describe("openModelSource", () => {
  it("takes the same new model from JSON, YAML and an object", async () => {
    const root = temporaryDirectory();
    const [json, yaml] = [join(root, "config.json"), join(root, "tiny.yaml")];
    writeFileSync(json, JSON.stringify(tinyConfig));
    writeFileSync(yaml, `# a comment\n${JSON.stringify(tinyConfig, null, 2).slice(2, -2).replace(/,$/gm, "")}`);
    const sources = [await open(tinyConfig), await open(json), await open(yaml)];
    for (const source of sources) {
      expect(source).toMatchObject({ isNew: true, initStd: 0.02, fingerprint: sources[0]?.fingerprint });
      expect(source.checkpoint.spec).toEqual(sources[0]?.checkpoint.spec);
    }
    expect((await open({ ...tinyConfig, initializer_range: 0.5 })).initStd).toBe(0.5);
  });

  it("writes out what a config leaves to defaults, and keeps what it says", async () => {
    const { checkpoint } = await open({ ...tinyConfig, tie_word_embeddings: undefined, bos_token_id: 7, mine: "kept" });
    expect(checkpoint.config).toMatchObject({ bos_token_id: 7, eos_token_id: 2, hidden_act: "silu", mine: "kept" });
  });

  it("names what is wrong with a config", async () => {
    const root = temporaryDirectory();
    const write = (name: string, text: string): string => {
      writeFileSync(join(root, name), text);
      return join(root, name);
    };
    await expect(open(join(root, "none.yaml"))).rejects.toThrow(coded("ERR_FILE_OPEN", "none.yaml"));
    await expect(open(write("a.yaml", "a: [1"))).rejects.toThrow(coded("ERR_MODEL_CONFIG", "not YAML"));
    await expect(open(write("b.yaml", "just text"))).rejects.toThrow(coded("ERR_MODEL_CONFIG", "b.yaml"));
    await expect(open(write("c.json", "{"))).rejects.toThrow(coded("ERR_JSON", "c.json"));
    await expect(open({ ...tinyConfig, hidden_size: "many" })).rejects.toThrow(
      coded("ERR_MODEL_CONFIG", "hidden_size"),
    );
    await expect(open({})).rejects.toThrow(coded("ERR_MODEL_FAMILY", "model_type"));
  });

  it("takes the tokenizer of another directory", async () => {
    const root = temporaryDirectory();
    await expect(open(tinyConfig, root)).rejects.toThrow(coded("ERR_TOKENIZER_MISSING", root));
    mkdirSync(join(root, "bpe"));
    writeFileSync(join(root, "bpe", "tokenizer.json"), "{}");
    writeFileSync(join(root, "bpe", "generation_config.json"), '{"eos_token_id": [3, 4]}');
    const { checkpoint } = await open(tinyConfig, join(root, "bpe"));
    expect(checkpoint.tokenizerFiles.tokenizerJson).toBe(join(root, "bpe", "tokenizer.json"));
    expect(checkpoint.spec.eosTokenIds).toEqual([3, 4]);
  });

  it("gives the trainer every tensor, with its place in a file when there is one", async () => {
    const fresh = trainerModel((await open(tinyConfig)).checkpoint);
    expect(fresh.tensors.every((tensor) => tensor.file === undefined)).toBe(true);
    const directory = writeTinyDirectory(join(temporaryDirectory(), "model"));
    const stored = await openModelSource({ model: directory, config: undefined, tokenizer: undefined });
    const { tensors } = trainerModel(stored.checkpoint);
    expect(tensors.map((tensor) => tensor.name)).toEqual(fresh.tensors.map((tensor) => tensor.name));
    const weights = readFileSync(join(directory, "model.safetensors"));
    for (const { file, source } of tensors) {
      expect(file?.path).toBe(join(directory, "model.safetensors"));
      expect((source?.offset ?? NaN) + (source?.sizeBytes ?? NaN)).toBeLessThanOrEqual(weights.length);
    }
    expect(tensors.filter((tensor) => tensor.layer === -1).map((tensor) => tensor.role)).toEqual([
      "embed_tokens",
      "norm",
    ]);
    expect(frozenNames(["*.q_proj.weight", "model.norm*"], stored.checkpoint)).toHaveLength(2);
    stored.checkpoint.close();
  });
});
