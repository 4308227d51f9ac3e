/** Static activations: scales of inputs measured on a text, written, kept over stops, and used by engines. */
import { copyFileSync, existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openWhole, readTensor } from "../../../src/checkpoint/index.js";
import { buildEngine, Engine } from "../../../src/engine/index.js";
import { quantize, type QuantizeOptions } from "../../../src/quantize/index.js";
import { compress } from "../../../src/recipe/index.js";
import { loadTokenizer } from "../../../src/tokenizer/index.js";
import { coded, type Json } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier } from "../cli/run.js";
import { writeModel, type Change } from "../prune/fixtures.js";
import { hashesOf, quantizableConfig, readJson, storedTensors } from "./fixtures.js";

const root = temporaryDirectory();
const teacher = join(__dirname, "../../../models/teacher");
let count = 0;
const fresh = (): string => join(root, `q${count++}`);

/** With the bundled teacher's tokenizer. */
function makeModel(change?: Change): string {
  const path = writeModel(fresh(), { ...quantizableConfig, vocab_size: 2048 }, 1, change);
  copyFileSync(join(teacher, "tokenizer.json"), join(path, "tokenizer.json"));
  return path;
}

const model = makeModel();
const text = join(root, "text.txt");
writeFileSync(text, readFileSync(join(teacher, "held-out.txt"), "utf8").slice(0, 2000));
const calibrated = { calibration: text, calibrationSamples: 5, calibrationLength: 32 };
const call = (given: object): Promise<unknown> =>
  quantize({ model, scheme: "w8a8-static", ...calibrated, out: fresh(), ...given } as QuantizeOptions);

const f32 = (bytes: Buffer): number => bytes.readFloatLE(0);

describe.each([
  ["w8a8-static", "w8a8", 127.5, "int8-w8a8-static"],
  ["fp8-static", "fp8-dynamic", 448, "fp8_e4m3-w8a8-static"],
])("%s", (scheme, twin, codes, format) => {
  const out = fresh();
  beforeAll(() => quantize({ model, scheme, ...calibrated, out }));

  it("has the tensors of the dynamic scheme, and an input scale for every module", async () => {
    const dynamic = fresh();
    await quantize({ model, scheme: twin, out: dynamic });
    const [found, expected] = [await storedTensors(out), await storedTensors(dynamic)];
    const scales = [...found].filter(([name]) => name.endsWith(".input_scale"));
    expect(scales).toHaveLength(14);
    for (const [name, { type, shape, bytes }] of scales) {
      expect([name, type, shape]).toEqual([name, "f32", [1]]);
      expect(f32(bytes)).toBeGreaterThan(0);
      found.delete(name);
    }
    expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, { bytes }] of found)
      expect([name, bytes.equals(expected.get(name)!.bytes)]).toEqual([name, true]);
    expect(readJson(out, "config.json")["quantization_config"]).toMatchObject({
      config_groups: {
        group_0: { input_activations: { dynamic: false, strategy: "tensor", symmetric: true, observer: "minmax" } },
      },
    });
    expect(readJson(out, "espalier.json")).toMatchObject({
      options: { scheme },
      calibration: { text: "text.txt", samples: 5, length: 32 },
    });
    expect(readdirSync(out).filter((name) => /calib|input-scales|journal/.test(name))).toEqual([]);
  });

  it("scales are the largest inputs over the codes", async () => {
    const tensors = await storedTensors(out);
    const scaleOf = (module: string): number => f32(tensors.get(`model.layers.0.${module}.input_scale`)!.bytes);
    const expected = Math.fround((await largestAttentionInput()) / codes);
    expect(Math.abs(scaleOf("self_attn.q_proj") / expected - 1)).toBeLessThan(1e-6);
    for (const module of ["self_attn.k_proj", "self_attn.v_proj"])
      expect(scaleOf(module)).toBe(scaleOf("self_attn.q_proj"));
    expect(scaleOf("mlp.up_proj")).toBe(scaleOf("mlp.gate_proj"));
    const all = ["self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"].map(scaleOf);
    expect(new Set(all).size).toBe(4);
  });

  it("is built as it is, and its engine answers much as the source does", async () => {
    const engine = fresh();
    const { dequantized, formats } = await buildEngine(out, engine);
    expect(dequantized).toEqual([]);
    expect(formats).toMatchObject({ [format]: { tensors: 14 } });
    const floats = fresh();
    await buildEngine(model, floats, { weights: "f32" });
    const ids = [5, 99, 1000, 31, 7];
    await using found = await Engine.load(engine);
    await using source = await Engine.load(floats);
    const [a, b] = [(await found.logits(ids))[0]!, (await source.logits(ids))[0]!];
    const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const difference = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
    expect(difference / largest).toBeLessThan(0.2);
  });
});

/** Of the first layer: the normalized embeddings of the tokens that calibration takes. */
async function largestAttentionInput(): Promise<number> {
  await using tokenizer = await loadTokenizer({ directory: model });
  const ids = [...(await tokenizer.encode(readFileSync(text, "utf8")))];
  const windows = Math.floor(ids.length / 32);
  const taken = [0, 1, 2, 3, 4].map((i) => Math.floor((i * windows) / 5) * 32);
  await using checkpoint = await openWhole(model);
  const embedding = await readTensor(checkpoint.tensors.get("model.embed_tokens.weight")!);
  const gain = await readTensor(checkpoint.tensors.get("model.layers.0.input_layernorm.weight")!);
  const epsilon = quantizableConfig["rms_norm_eps"] as number;
  let largest = 0;
  for (const id of taken.flatMap((from) => ids.slice(from, from + 32))) {
    const row = embedding.subarray(id * 128, (id + 1) * 128);
    const rms = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / 128 + epsilon);
    row.forEach((value, i) => (largest = Math.max(largest, Math.abs((value / rms) * gain[i]!))));
  }
  return largest;
}

describe("is refused before anything is written", () => {
  const long = { calibrationLength: 1000 };
  const empty = join(root, "empty.txt");
  writeFileSync(empty, "");
  const latin = join(root, "latin.txt");
  writeFileSync(latin, Buffer.from([0xe9, 0x20, 0xff]));
  it.each<[object, string, string[]]>([
    [{ calibration: undefined }, "ERR_ARGUMENT", ["calibration: expected a text file with w8a8-static, found none"]],
    [
      { scheme: "w8a8", overrides: { "*.q_proj": "fp8-static" }, calibration: undefined },
      "ERR_ARGUMENT",
      ["calibration: expected a text file with fp8-static"],
    ],
    [{ scheme: "w8a8" }, "ERR_ARGUMENT", ["calibration: expected none: w8a8 measures no inputs"]],
    [
      { scheme: "w8a8", calibration: undefined, calibrationLength: undefined },
      "ERR_ARGUMENT",
      ["calibrationSamples: expected none"],
    ],
    [{ simulate: true }, "ERR_ARGUMENT", ["calibration: expected none: simulate leaves activations as they are"]],
    [long, "ERR_ARGUMENT", ["calibrationLength: expected at most the", "positions", "found 1000"]],
    [{ calibrationLength: 1 }, "ERR_ARGUMENT", ["calibrationLength"]],
    [{ calibrationSamples: 0 }, "ERR_ARGUMENT", ["calibrationSamples"]],
    [{ calibration: "/nowhere.txt" }, "ERR_FILE_READ", ["/nowhere.txt"]],
    [{ calibration: latin }, "ERR_FILE_READ", ["expected UTF-8 text"]],
    [{ calibration: empty }, "ERR_ARGUMENT", ["expected text of 2 tokens or more", "empty.txt, found 0"]],
    [{ include: ["lm_head"] }, "ERR_ARGUMENT", ["lm_head: w8a8-static measures the inputs"]],
  ])("%j", async (given, code, parts) => {
    const out = fresh();
    await expect(call({ ...given, out })).rejects.toThrow(coded(code, ...parts));
    expect(existsSync(out)).toBe(false);
  });

  it("a model without a tokenizer", async () => {
    const plain = writeModel(fresh(), quantizableConfig);
    await expect(call({ model: plain })).rejects.toThrow(coded("ERR_TOKENIZER_MISSING", "calibration"));
  });
});

it("inputs that overflow are refused, by name", async () => {
  const broken = makeModel((values, { name }) => {
    if (name === "model.layers.0.mlp.up_proj.weight") values.fill(3e38);
  });
  await expect(call({ model: broken })).rejects.toThrow(
    coded("ERR_QUANT_SCALE", "model.layers.0.mlp.down_proj: its inputs are not finite"),
  );
});

it("goes on after a stop while it measures and while it writes, to the same bytes; another text begins anew", async () => {
  const options: QuantizeOptions = { model, scheme: "w8a8-static", ...calibrated, calibrationLength: 64 };
  const whole = fresh();
  await quantize({ ...options, out: whole });
  for (const place of ["calibration", "weights"]) {
    const out = fresh();
    const controller = new AbortController();
    const stopped = quantize(
      { ...options, out },
      {
        signal: controller.signal,
        onCalibration: ({ kind }) => {
          if (place === "calibration" && kind === "pass") controller.abort();
        },
        onProgress: ({ done }) => {
          if (place === "weights" && done === 9) controller.abort();
        },
      },
    );
    await expect(stopped).rejects.toThrow(coded("ERR_ABORTED"));
    expect(existsSync(out)).toBe(false);
    const seen: string[] = [];
    let first: number | null = null;
    const hooks = {
      onCalibration: ({ kind }: { kind: string }): unknown => seen.push(kind),
      onProgress: ({ done }: { done: number }): unknown => (first ??= done),
    };
    await quantize({ ...options, out }, hooks);
    expect(seen.length > 0).toBe(place === "calibration");
    expect(first).toBeGreaterThanOrEqual(place === "calibration" ? 0 : 9);
    expect(hashesOf(out)).toEqual(hashesOf(whole));
  }
  const [out, controller] = [fresh(), new AbortController()];
  const other = { ...options, calibrationSamples: 1, out };
  const onProgress = ({ done }: { done: number }): boolean | void => done === 9 && controller.abort();
  await expect(quantize(other, { signal: controller.signal, onProgress })).rejects.toThrow(coded("ERR_ABORTED"));
  await quantize({ ...options, out });
  expect(hashesOf(out)).toEqual(hashesOf(whole));
});

it("mixes with other schemes", async () => {
  const out = fresh();
  const overrides = { "*.down_proj": "w8a16", "model.layers.1.*.q_proj": "w8a8" };
  await call({ out, overrides: { ...overrides, lm_head: "w8a8" } });
  const names = [...(await storedTensors(out)).keys()].filter((name) => name.endsWith("input_scale"));
  expect(names).toHaveLength(11);
  const { formats } = await buildEngine(out, fresh());
  expect(Object.keys(formats).sort()).toEqual(["f32", "int8", "int8-w8a8", "int8-w8a8-static"]);
});

it("the command line tells what it plans; --json; a recipe's step", async () => {
  const out = fresh();
  const flags = ["--calibration", text, "--calibration-samples", "2", "--calibration-length", "16"];
  const args = ["quantize", model, "--scheme", "fp8-static", ...flags, "--out", out];
  const { status, stderr } = await espalier(args);
  expect([status, stderr]).toEqual([0, expect.stringContaining("32 tokens, 2 parts of the text")]);
  expect(stderr).toContain("calibrating");
  const refused = await espalier(["quantize", model, "--scheme", "fp8-static", "--out", fresh(), "--json"]);
  expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: "ERR_ARGUMENT" } });
  const recipe = join(root, "recipe.yaml");
  const step = { model, scheme: "fp8-static", calibration: text, calibration_samples: 2, calibration_length: 16 };
  writeFileSync(recipe, `steps:\n  codes:\n    quantize: ${JSON.stringify(step)}\n`);
  const run = fresh();
  await compress({ recipe, out: run });
  const { "espalier.json": _lineage, ...files } = hashesOf(out);
  expect(hashesOf(join(run, "codes"))).toMatchObject(files as Json);
});
