/** Options and models that cannot be: each message names what, what was expected and what came. */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportHuggingFace, openCheckpoint, type Checkpoint } from "../../../src/checkpoint/index.js";
import { buildEngine } from "../../../src/engine/index.js";
import { exportGguf } from "../../../src/export/gguf/index.js";
import { exportOnnx } from "../../../src/export/onnx/index.js";
import { quantize, type QuantizeHooks, type QuantizeOptions } from "../../../src/quantize/index.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier } from "../cli/run.js";
import { writeModel } from "../prune/fixtures.js";
import { quantizableConfig } from "./fixtures.js";

const root = temporaryDirectory();
const model = writeModel(join(root, "model"), quantizableConfig);
const gguf = join(__dirname, "../../fixtures/gguf");
let count = 0;
const fresh = (): string => join(root, `q${count++}`);

const circle: Record<string, unknown> = {};
circle["itself"] = circle;

type Given = Record<string, unknown>;
const call = (given: Given): Promise<unknown> =>
  quantize({ model, scheme: "w8a8", out: fresh(), ...given } as unknown as QuantizeOptions);

describe("options", () => {
  it.each<[Given, string, string[]]>([
    [{ scheme: "w8a9" }, "ERR_ARGUMENT", ["scheme: expected one of w8a8", 'found "w8a9"', "w8a8"]],
    [{ scheme: undefined }, "ERR_ARGUMENT", ["scheme"]],
    [{ scheme: "none" }, "ERR_ARGUMENT", ['scheme: "none" without overrides or kvCache leaves nothing to do']],
    [{ overrides: { "*": "int9" } }, "ERR_ARGUMENT", ['overrides["*"]: expected one of', 'found "int9"']],
    [{ groupSize: 64 }, "ERR_ARGUMENT", ["groupSize: w8a8 has no groups"]],
    [{ scheme: "mxfp4", groupSize: 64 }, "ERR_ARGUMENT", ["groupSize: mxfp4 has groups of its own"]],
    [{ scheme: "w4a16", groupSize: 0 }, "ERR_ARGUMENT", ["groupSize", "0"]],
    [{ scheme: "w4a16", groupSize: 1e9 }, "ERR_ARGUMENT", ["groupSize"]],
    [{ scheme: "w4a16", groupSize: 64.5 }, "ERR_ARGUMENT", ["groupSize"]],
    [{ scheme: "w4a16", groupSize: "64" }, "ERR_ARGUMENT", ["groupSize"]],
    [{ scheme: "w4a16", groupSize: NaN }, "ERR_ARGUMENT", ["groupSize", "found NaN"]],
    [{ scheme: () => "w8a8" }, "ERR_ARGUMENT", ["scheme: expected string, found a function"]],
    [{ scheme: 8n }, "ERR_ARGUMENT", ["scheme: expected string, found 8"]],
    [{ scheme: circle }, "ERR_ARGUMENT", ["scheme: expected string, found [object Object]"]],
    [{ out: "a\0b" }, "ERR_ARGUMENT", ["a\\u0000b", "expected a path without null bytes"]],
    [{ asymmetric: true }, "ERR_ARGUMENT", ["asymmetric: w8a8 has no zero points"]],
    [{ doubleQuant: true }, "ERR_ARGUMENT", ["doubleQuant: expected nf4 or fp4, found w8a8"]],
    [{ scheme: "w4a16", perTensor: true }, "ERR_ARGUMENT", ["perTensor: w4a16 has groups or blocks"]],
    [{ scheme: "nf4", method: "hqq" }, "ERR_ARGUMENT", ["method: hqq finds zero points, which nf4 does not have"]],
    [{ method: "best" }, "ERR_ARGUMENT", ["method", "max"]],
    [{ percentile: 0.5 }, "ERR_ARGUMENT", ["percentile: expected none with method max, found 0.5"]],
    [{ scheme: "nf4", groupSize: 96 }, "ERR_QUANT_GROUP_SIZE", ["a power of two from 32 to 4096 with nf4, found 96"]],
    [{ scheme: "nf4", kvCache: "int8" }, "ERR_ARGUMENT", ["kvCache: bitsandbytes' configuration has no place for it"]],
    [{ method: "percentile", percentile: 0 }, "ERR_ARGUMENT", ["percentile"]],
    [
      { scheme: "fp8-e5m2" },
      "ERR_ARGUMENT",
      ["scheme: fp8-e5m2: no file format that others read holds it; use simulate"],
    ],
    [{ scheme: "nf4", overrides: { "*.q_proj": "w8a8" } }, "ERR_ARGUMENT", ["overrides", "cannot be mixed"]],
    [{ include: ["*.no_proj"] }, "ERR_ARGUMENT", ['include: the pattern "*.no_proj" matches no weight']],
    [{ exclude: ["model.norm"] }, "ERR_ARGUMENT", ['exclude: the pattern "model.norm" matches no weight']],
    [
      { overrides: { "*.layers.7.*": "w8a16" } },
      "ERR_ARGUMENT",
      ['overrides: the pattern "*.layers.7.*" matches no weight'],
    ],
    [{ exclude: ["*"] }, "ERR_ARGUMENT", ["no weight is left to quantize"]],
    [{ kvCache: "int4" }, "ERR_ARGUMENT", ["kvCache", "int8"]],
    [{ dtype: "f64" }, "ERR_ARGUMENT", ["dtype", "f32"]],
    [{ maxShardBytes: -1 }, "ERR_ARGUMENT", ["maxShardBytes"]],
    [{ out: undefined }, "ERR_ARGUMENT", ["out: expected a directory to make"]],
    [{ out: "" }, "ERR_ARGUMENT", ["out"]],
    [{ quality: "best" }, "ERR_ARGUMENT", ["quality"]],
    [
      { scheme: "w4a16", groupSize: 96 },
      "ERR_QUANT_GROUP_SIZE",
      ["q_proj.weight [128, 128]: groups of 96 do not divide 128"],
    ],
    [{ model: "/nowhere" }, "ERR_MODEL_NOT_FOUND", ["/nowhere"]],
  ])("%j", async (given, code, parts) => {
    await expect(call(given as Given)).rejects.toThrow(coded(code, ...parts));
    expect(readdirSync(root).filter((name) => name !== "model")).toEqual([]);
  });
});

it.each<[unknown, string]>([
  [null, "quantize: hooks: expected an object, found null"],
  [{ signal: "now" }, 'quantize: signal: expected an AbortSignal, found "now"'],
  [{ onProgress: 5 }, "quantize: onProgress: expected a function, found 5"],
])("hooks that cannot be are refused before anything is done: %j", async (hooks, words) => {
  const out = fresh();
  await expect(quantize({ model, scheme: "w8a8", out }, hooks as QuantizeHooks)).rejects.toThrow(
    coded("ERR_ARGUMENT", words),
  );
  expect(existsSync(out)).toBe(false);
});

it("exports name what is no open checkpoint, and what is no path", async () => {
  await using checkpoint = await openCheckpoint(model);
  for (const write of [exportGguf, exportHuggingFace, exportOnnx]) {
    for (const wrong of [model, null, {}])
      await expect(write(wrong as unknown as Checkpoint, fresh())).rejects.toThrow(
        coded("ERR_ARGUMENT", "checkpoint: expected one that openCheckpoint opened, found"),
      );
    await expect(write(checkpoint, 7 as unknown as string)).rejects.toThrow(
      coded("ERR_ARGUMENT", "expected a path, found 7"),
    );
  }
});

it("--json says what was wrong as one document", async () => {
  const { status, stdout } = await espalier(["quantize", model, "--scheme", "w4a1", "--out", fresh(), "--json"]);
  expect(status).toBe(2);
  expect(JSON.parse(stdout)).toMatchObject({
    error: { code: "ERR_ARGUMENT", message: expect.stringContaining('nearest is "w4a16"') as string },
  });
});

it("a tied head is the embedding, and the hint says so", async () => {
  const tied = writeModel(fresh(), { ...quantizableConfig, tie_word_embeddings: true });
  const error = await call({ model: tied, include: ["lm_head"] }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ hint: expect.stringContaining("model.embed_tokens") as string });
});

describe("weights", () => {
  const withValue = (value: number): string =>
    writeModel(fresh(), quantizableConfig, 1, (values, { name }) => {
      if (name === "model.layers.1.mlp.up_proj.weight") values[300] = value;
    });

  it.each([NaN, Infinity, -Infinity])("%s is refused, by name and place", async (value) => {
    for (const scheme of ["w8a8", "w4a16", "nf4", "fp8-dynamic", "mxfp4", "nvfp4"])
      await expect(call({ model: withValue(value), scheme })).rejects.toThrow(
        coded("ERR_WEIGHT_VALUE", "model.safetensors", "model.layers.1.mlp.up_proj.weight"),
      );
  });

  it("rows, columns and whole weights of zeros are kept as zeros", async () => {
    const zeros = writeModel(fresh(), quantizableConfig, 1, (values, { name }) => {
      if (name === "model.layers.0.mlp.up_proj.weight") values.fill(0);
      if (name === "model.layers.1.mlp.up_proj.weight") values.fill(0, 128 * 3, 128 * 5);
    });
    for (const scheme of ["w8a8", "w4a16", "nf4", "fp4", "fp8-dynamic", "fp8-block", "mxfp4", "mxfp8", "nvfp4"]) {
      const out = fresh();
      const { weights } = await quantize({ model: zeros, scheme, out });
      const errorOf = (layer: number): number =>
        weights.find(({ name }) => name === `model.layers.${layer}.mlp.up_proj.weight`)!.relativeError;
      expect(errorOf(0)).toBe(0);
      expect(errorOf(1)).toBeLessThan(0.13);
      const report = await buildEngine(out, fresh());
      expect(report.parameters).toBeGreaterThan(0);
    }
  });
});

describe("models", () => {
  it("a quantized one: twice, and a GGUF file of codes", async () => {
    const out = fresh();
    await call({ out });
    await expect(call({ model: out, scheme: "nf4" })).rejects.toThrow(
      coded("ERR_WEIGHT_FORMAT", out, "already quantized"),
    );
  });

  it("a GGUF file whose weights are blocks is read as what it says", async () => {
    const out = fresh();
    await quantize({ model: join(gguf, "tiny-q8_0-tied.gguf"), scheme: "w8a8", out });
    expect(JSON.parse(readFileSync(join(out, "espalier.json"), "utf8"))).toMatchObject({ options: { dtype: "f32" } });
  });

  it("a truncated one", async () => {
    const cut = fresh();
    mkdirSync(cut);
    for (const name of readdirSync(model)) {
      const bytes = readFileSync(join(model, name));
      writeFileSync(join(cut, name), name.endsWith(".safetensors") ? bytes.subarray(0, bytes.length - 7) : bytes);
    }
    await expect(call({ model: cut })).rejects.toThrow(coded("ERR_FILE_TRUNCATED", cut));
  });
});
