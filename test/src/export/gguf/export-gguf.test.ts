import { readdirSync, readFileSync, mkdirSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { openCheckpoint, readTensor, type Checkpoint } from "../../../../src/checkpoint/index.js";
import { readGgufHeader } from "../../../../src/checkpoint/gguf.js";
import { exportGguf } from "../../../../src/export/gguf/index.js";
import { tokenizerFilesFromGguf } from "../../../../src/tokenizer/index.js";
import { tinySentencePiece } from "../../tokenizer/tiny-tokenizer.js";
import { llama3Factors } from "../../../../src/model/rope.js";
import { coded, safetensorsBytes, tinyConfig, tinyTensors, writeTinyDirectory } from "../../../model-files.js";
import { temporaryDirectory } from "../../../temporary.js";

const fixtures = join(__dirname, "../../../fixtures");
const root = temporaryDirectory();
let count = 0;
const fresh = (suffix = ""): string => join(root, `out${count++}${suffix}`);

async function expectSameTensors(copy: Checkpoint, checkpoint: Checkpoint): Promise<void> {
  for (const [name, tensor] of checkpoint.tensors)
    if (copy.tensors.has(name)) expect(await readTensor(copy.tensors.get(name)!)).toEqual(await readTensor(tensor));
}

describe("what our reader gives back of an f32 file", () => {
  it.each(["plain-v4", "bias-v4", "tied-gqa4-v5", "linear-v4", "yarn-v4", "yarn-factor-v4", "f16-sharded-v4"])(
    "is the spec and every value of %s",
    async (name) => {
      await using checkpoint = await openCheckpoint(join(fixtures, "tiny-llama", name));
      const target = fresh(".gguf");
      const report = await exportGguf(checkpoint, target, { type: "f32" });
      expect(report.tensors).toEqual({ f32: expect.any(Number) as number });
      expect(report.sizeBytes).toBe(readFileSync(target).length);
      await using copy = await openCheckpoint(target);
      const { rope, ...spec } = checkpoint.spec;
      expect(copy.spec).toEqual({ ...spec, rope: { ...rope } });
      expect(copy.tensors.size).toBe([...copy.tensors.keys()].filter((key) => checkpoint.tensors.has(key)).length);
      await expectSameTensors(copy, checkpoint);
    },
  );

  it("keeps llama3's factors as a tensor", async () => {
    const rope = { rope_type: "llama3", factor: 32, low_freq_factor: 1, high_freq_factor: 4 };
    const scaling = { ...rope, original_max_position_embeddings: 8192 };
    const config = { ...tinyConfig, head_dim: 64, rope_theta: 500000, rope_scaling: scaling };
    await using checkpoint = await openCheckpoint(writeTinyDirectory(fresh(), config));
    const target = fresh(".gguf");
    expect((await exportGguf(checkpoint, target, { type: "f16" })).tensors).toEqual({ f16: 8, f32: 4 });
    await using copy = await openCheckpoint(target);
    expect(copy.spec).toEqual(checkpoint.spec);
    const factors = await readTensor(copy.tensors.get("rope_freqs.weight")!);
    expect(factors).toEqual(Float32Array.from(llama3Factors(checkpoint.spec.rope)));
    const again = fresh(".gguf");
    await exportGguf(copy, again, { type: "f16" });
    await using second = await openCheckpoint(again);
    expect(await readTensor(second.tensors.get("rope_freqs.weight")!)).toEqual(factors);
  });

  it("keeps yarn's attention factor, however the config spells it", async () => {
    await using checkpoint = await openCheckpoint(join(fixtures, "tiny-llama/yarn-mscale-v5"));
    const target = fresh(".gguf");
    await exportGguf(checkpoint, target, { type: "f32" });
    const { factor = 1, mscale = 1, mscaleAllDim = 1 } = checkpoint.spec.rope;
    const scale = (multiplier: number): number => 0.1 * multiplier * Math.log(factor) + 1;
    await using copy = await openCheckpoint(target);
    expect(copy.spec.rope.attentionFactor).toBeCloseTo(scale(mscale) / scale(mscaleAllDim), 6);
  });

  it.each(["tiny-q4_1-bias", "tiny-q8_0-tied", "tiny-bf16"])("is a GGUF file again: %s", async (name) => {
    await using checkpoint = await openCheckpoint(join(fixtures, `gguf/${name}.gguf`));
    const type = name.split("-")[1]!;
    const target = fresh(".gguf");
    await exportGguf(checkpoint, target, { type, pure: true });
    await using copy = await openCheckpoint(target);
    expect(copy.spec).toEqual(checkpoint.spec);
    await expectSameTensors(copy, checkpoint); // its blocks were copied, not rounded again
    expect(copy.tokenizerFiles).toEqual({
      gguf: { ...checkpoint.tokenizerFiles.gguf, "tokenizer.ggml.model": "none" },
    });
  });

  it("has the dimensions of pruned models", async () => {
    const source = writeTinyDirectory(fresh(), {
      ...tinyConfig,
      head_dim: 6,
      num_attention_heads: 3,
      num_key_value_heads: 1,
    });
    await using checkpoint = await openCheckpoint(source);
    const target = fresh(".gguf");
    const report = await exportGguf(checkpoint, target, { type: "q8_0", name: "pruned" });
    const { metadata } = await readGgufHeader(target);
    expect(Object.fromEntries(metadata)).toMatchObject({
      "general.name": "pruned",
      "general.file_type": 7,
      "general.quantization_version": 2,
      "llama.attention.key_length": 6,
      "llama.attention.value_length": 6,
      "llama.rope.dimension_count": 6,
      "llama.vocab_size": 32,
    });
    expect(report.fallbacks).toEqual([{ tensor: "blk.0.attn_output.weight", wanted: "q8_0", type: "f16" }]);
    await using copy = await openCheckpoint(target);
    expect(copy.spec).toEqual(checkpoint.spec);
  });
});

it("stays within half a step of 8 bits, in the heads' order", async () => {
  await using checkpoint = await openCheckpoint(join(fixtures, "tiny-llama/plain-v4"));
  const target = fresh(".gguf");
  await exportGguf(checkpoint, target, { type: "q8_0" });
  await using copy = await openCheckpoint(target);
  for (const [name, tensor] of copy.tensors) {
    const [found, expected] = [await readTensor(tensor), await readTensor(checkpoint.tensors.get(name)!)];
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    found.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(0.51 * (largest / 127)));
  }
});

it("writes a family that GGUF has no name for as the one with its tensors", async () => {
  const config = { ...tinyConfig, architectures: ["MistralForCausalLM"], model_type: "mistral" };
  await using checkpoint = await openCheckpoint(writeTinyDirectory(fresh(), config));
  const target = fresh(".gguf");
  await exportGguf(checkpoint, target);
  await using copy = await openCheckpoint(target);
  expect(copy.spec).toEqual({ ...checkpoint.spec, family: "llama" });
});

describe("when it cannot be done, nothing is left", () => {
  const parent = fresh();
  mkdirSync(parent);
  const target = join(parent, "out.gguf");
  afterEach(() => {
    jest.restoreAllMocks();
    expect(readdirSync(parent)).toEqual([]);
  });

  it("because of a weight", async () => {
    const source = writeTinyDirectory(fresh());
    for (const [value, type] of [
      [NaN, "f32"],
      [Infinity, "q8_0"],
      [70000, "f16"],
    ] as const) {
      const tensors = tinyTensors();
      tensors[2]!.bytes.writeFloatLE(value, 8);
      writeFileSync(join(source, "model.safetensors"), safetensorsBytes(tensors));
      await using checkpoint = await openCheckpoint(source);
      await expect(exportGguf(checkpoint, target, { type })).rejects.toThrow(
        coded("ERR_WEIGHT_VALUE", "model.safetensors", tensors[2]!.name),
      );
    }
  });

  it("because the disk fills up", async () => {
    await using checkpoint = await openCheckpoint(writeTinyDirectory(fresh()));
    const probe = await open(join(root, "probe"), "w");
    const prototype = Object.getPrototypeOf(probe) as FileHandle;
    await probe.close();
    jest.spyOn(prototype, "write").mockImplementation(() => {
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" });
    });
    await expect(exportGguf(checkpoint, target)).rejects.toThrow(coded("ERR_DISK_FULL", target));
  });

  it("because it was stopped, early or late", async () => {
    await using checkpoint = await openCheckpoint(writeTinyDirectory(fresh()));
    const controller = new AbortController();
    const options = { signal: controller.signal, onProgress: () => controller.abort() };
    for (let i = 0; i < 2; ++i)
      await expect(exportGguf(checkpoint, target, options)).rejects.toThrow(coded("ERR_ABORTED"));
  });

  it("because of what GGUF cannot say", async () => {
    await using dynamic = await openCheckpoint(join(fixtures, "tiny-llama/dynamic-within-v4"));
    await expect(exportGguf(dynamic, target)).rejects.toThrow(coded("ERR_MODEL_ROPE", "dynamic"));
    await expect(exportGguf(dynamic, target, { type: "q2_k" })).rejects.toThrow(coded("ERR_ARGUMENT", "q2_k"));
  });
});

it("never replaces a file, and says where it cannot write", async () => {
  await using checkpoint = await openCheckpoint(writeTinyDirectory(fresh()));
  const mine = fresh(".gguf");
  writeFileSync(mine, "mine");
  await expect(exportGguf(checkpoint, mine)).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", mine));
  expect(readFileSync(mine, "utf8")).toBe("mine");
  await expect(exportGguf(checkpoint, join(mine, "x.gguf"))).rejects.toThrow(coded("ERR_FILE_WRITE", mine));
  await expect(exportGguf(checkpoint, "")).rejects.toThrow(coded("ERR_ARGUMENT", "output file"));
});

it("says what readers will not be able to do", async () => {
  const directory = writeTinyDirectory(fresh(), { ...tinyConfig, vocab_size: 267 });
  const rope = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32, beta_fast: 16 };
  await using yarn = await openCheckpoint(writeTinyDirectory(fresh(), { ...tinyConfig, rope_scaling: rope }));
  expect((await exportGguf(yarn, fresh(".gguf"))).warnings[0]).toContain("beta_fast 16");
  const warningsOf = async (): Promise<string[]> => {
    await using checkpoint = await openCheckpoint(directory);
    return (await exportGguf(checkpoint, fresh(".gguf"))).warnings;
  };
  expect(await warningsOf()).toEqual([expect.stringContaining("no tokenizer")]);
  const { tokenizerJson } = tokenizerFilesFromGguf(tinySentencePiece());
  writeFileSync(join(directory, "tokenizer.json"), JSON.stringify(tokenizerJson));
  expect(await warningsOf()).toEqual([]);
  writeFileSync(join(directory, "tokenizer.json"), JSON.stringify(tokenizerJson).replaceAll("<0x", "<1x"));
  expect(await warningsOf()).toEqual([expect.stringContaining("bytes")]);
});

it("reports progress up to all of it", async () => {
  await using checkpoint = await openCheckpoint(writeTinyDirectory(fresh()));
  const steps: { bytesDone: number; bytesTotal: number }[] = [];
  await exportGguf(checkpoint, fresh(".gguf"), { type: "q4_0", onProgress: (step) => steps.push(step) });
  expect(steps.at(-1)!.bytesDone).toBe(steps.at(-1)!.bytesTotal);
  expect(steps.length).toBe(checkpoint.tensors.size);
});
