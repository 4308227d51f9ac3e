import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openWhole, readTensor } from "../../../../src/checkpoint/index.js";
import { quantizedModelOf } from "../../../../src/checkpoint/quantized/collect.js";
import { EspalierError } from "../../../../src/errors.js";
import { quantize } from "../../../../src/quantize/index.js";
import { coded, safetensorsBytes, type Json, type TensorBytes } from "../../../model-files.js";
import { temporaryDirectory } from "../../../temporary.js";
import { quantizedModel, readConfig, readSafetensors } from "./fixtures.js";

const root = temporaryDirectory();
const MODULE = "model.layers.0.self_attn.q_proj";
let count = 0;

interface Model {
  quantization: Json;
  tensors: TensorBytes[];
  /** The tensor of MODULE with this suffix. */
  part(suffix: string): TensorBytes;
}

/** A fixture with a change. */
function changed(fixture: string, change: (model: Model) => void): string {
  const config = readConfig(fixture);
  const tensors = readSafetensors(join(quantizedModel(fixture), "model.safetensors"));
  const part = (suffix: string): TensorBytes => tensors.find(({ name }) => name === `${MODULE}.${suffix}`)!;
  change({ quantization: config.quantization_config, tensors, part });
  const directory = join(root, `m${count++}`);
  mkdirSync(directory);
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  writeFileSync(join(directory, "model.safetensors"), safetensorsBytes(tensors));
  return directory;
}

async function readAll(path: string): Promise<void> {
  await using checkpoint = await openWhole(path);
  for (const tensor of checkpoint.tensors.values()) await readTensor(tensor);
}

const refuses = async (path: string, code: string, ...parts: string[]): Promise<void> =>
  expect(readAll(path)).rejects.toEqual(coded(code, ...parts));

const remove = ({ tensors }: Model, suffix: string): void => {
  tensors.splice(
    tensors.findIndex(({ name }) => name === `${MODULE}.${suffix}`),
    1,
  );
};

const transforms = (...locations: string[]): Json => ({
  config_groups: { R3: { type: "hadamard", apply: locations.map((location) => ({ location, targets: ["Linear"] })) } },
});

const groupOf = ({ quantization }: Model): Json => (quantization["config_groups"] as Record<string, Json>)["group_0"]!;

describe("quantization_config", () => {
  it.each<[string, string, (model: Model) => void, string[]]>([
    [
      "an unknown method",
      "int4-g32",
      (m) => (m.quantization["quant_method"] = "quip"),
      ["quant_method", "gptq", "quip"],
    ],
    ["no method", "int4-g32", (m) => delete m.quantization["quant_method"], ["quant_method", "awq"]],
    ["a method of another type", "int4-g32", (m) => (m.quantization["quant_method"] = 4), ["quant_method"]],
    [
      "a future format",
      "int4-g32",
      (m) => (groupOf(m)["format"] = "pack-quantized-2"),
      ["group_0.format", "pack-quantized", "pack-quantized-2"],
    ],
    ["a format named like a property", "int4-g32", (m) => (groupOf(m)["format"] = "constructor"), ["group_0.format"]],
    [
      "a fixed scale for every token",
      "int8-static",
      (m) => ((groupOf(m)["input_activations"] as Json)["strategy"] = "token"),
      ["group_0.input_activations.strategy", "expected tensor", "token"],
    ],
    [
      "static activations with zero points",
      "int8-static",
      (m) => ((groupOf(m)["input_activations"] as Json)["symmetric"] = false),
      ["group_0.input_activations.symmetric", "expected true"],
    ],
    ["3 bits", "int4-g32", (m) => ((groupOf(m)["weights"] as Json)["num_bits"] = 3), ["weights", "int of 3"]],
    [
      "a strategy of activations",
      "int4-g32",
      (m) => ((groupOf(m)["weights"] as Json)["strategy"] = "token"),
      ["strategy", "token"],
    ],
    ["a group of no columns", "int4-g32", (m) => ((groupOf(m)["weights"] as Json)["group_size"] = 0), ["group_size"]],
    ["a broken pattern", "int4-g32", (m) => (groupOf(m)["targets"] = ["re:("]), ["re:("]],
    ["groups that are none", "int4-g32", (m) => (m.quantization["config_groups"] = 3), ["config_groups"]],
    [
      "transforms of activations",
      "int4-g32",
      (m) => (m.quantization["transform_config"] = transforms("weight_output", "input")),
      ["transform_config.config_groups.R3", "weight_input", '"input"'],
    ],
    [
      "sparse files",
      "int4-g32",
      (m) => (m.quantization["sparsity_config"] = { format: "sparse-24-bitmask" }),
      ["sparsity_config.format", "expected dense", "sparse-24-bitmask"],
    ],
    ["GPTQ of 3 bits", "gptq-g32", (m) => (m.quantization["bits"] = 3), ["bits: expected 4 or 8, found 3"]],
    ["AWQ of 8 bits", "awq-g64", (m) => (m.quantization["bits"] = 8), ["bits: expected 4, found 8"]],
    [
      "a GPTQ format",
      "gptq-g32",
      (m) => (m.quantization["checkpoint_format"] = "marlin"),
      ["checkpoint_format", "gptq_v2", "marlin"],
    ],
    ["an AWQ format", "awq-g64", (m) => (m.quantization["version"] = "gemv"), ["version", "gemm", "gemv"]],
    ["LLM.int8()", "bitsandbytes-fp4", (m) => (m.quantization["load_in_8bit"] = true), ["load_in_8bit"]],
  ])("with %s is refused", async (_, fixture, change, parts) => {
    await refuses(changed(fixture, change), "ERR_QUANT_CONFIG", "quantization_config", ...parts);
  });

  it.each(["gptq", [], 4])("that is no object but %j is refused", (value) => {
    const code = expect(() => quantizedModelOf({ quantization_config: value }, "config.json"));
    code.toThrow(coded("ERR_QUANT_CONFIG", `quantization_config: expected an object, found ${JSON.stringify(value)}`));
  });

  it("may name transforms of weights, which are in the codes, and dense files", async () => {
    const change = ({ quantization }: Model): void => {
      quantization["transform_config"] = transforms("weight_input", "weight_output");
      quantization["sparsity_config"] = { format: "dense", global_sparsity: 0.1 };
    };
    await readAll(changed("int4-g32", change));
  });
});

describe("parts of a quantized weight", () => {
  it.each<[string, string, (model: Model) => void, string[]]>([
    ["a scale is missing", "int4-g32", (m) => remove(m, "weight_scale"), [MODULE, "weight_scale", "missing"]],
    ["zero points are missing", "int4-g64-asym", (m) => remove(m, "weight_zero_point"), [MODULE, "weight_zero_point"]],
    [
      "the codes' scale is missing",
      "int8-channel",
      (m) => remove(m, "weight_scale"),
      [MODULE, "weight_scale", "missing"],
    ],
    ["an input scale is missing", "int8-static", (m) => remove(m, "input_scale"), [MODULE, "input_scale", "missing"]],
    [
      "an input scale has two values",
      "fp8-static",
      (m) => Object.assign(m.part("input_scale"), { shape: [2], bytes: Buffer.alloc(8, 1) }),
      [MODULE, "input_scale", "one value", "2"],
    ],
    ["qzeros are missing", "gptq-g32", (m) => remove(m, "qzeros"), [MODULE, "qzeros", "missing"]],
    ["AWQ's scales are missing", "awq-g64", (m) => remove(m, "scales"), [MODULE, "scales", "missing"]],
    ["nvfp4 has no global scale", "nvfp4", (m) => remove(m, "weight_global_scale"), [MODULE, "weight_global_scale"]],
    ["absmax is missing", "bitsandbytes-fp4", (m) => remove(m, "weight.absmax"), [MODULE, "weight.absmax", "missing"]],
    [
      "nested_absmax is missing",
      "bitsandbytes-nf4-nested",
      (m) => remove(m, "weight.nested_absmax"),
      [MODULE, "nested_absmax", "missing"],
    ],
    [
      "a quant_state is missing",
      "bitsandbytes-fp4",
      (m) => remove(m, "weight.quant_state.bitsandbytes__fp4"),
      [MODULE, "quant_state"],
    ],
    [
      "a scale is left over",
      "int4-g32",
      (m) => m.tensors.push({ ...m.part("weight_scale"), name: "model.norm.weight_scale" }),
      ["model.norm.weight_scale"],
    ],
    ["an ignored module is quantized", "int4-g32", (m) => (m.quantization["ignore"] = [MODULE]), [MODULE]],
    [
      "a scale has another shape",
      "int4-g32",
      (m) => (m.part("weight_scale").shape = [2, 64]),
      ["weight_scale", "[64, 2]", "[2, 64]"],
    ],
    [
      "scales are of groups the configuration has not",
      "int4-g32",
      (m) => ((groupOf(m)["weights"] as Json)["group_size"] = 64),
      ["weight_scale", "[64, 1]"],
    ],
    [
      "codes have another type",
      "int4-g32",
      (m) => (m.part("weight_packed").dtype = "F32"),
      ["weight_packed", "I32", "F32"],
    ],
    ["codes have a type nobody knows", "int8-channel", (m) => (m.part("weight").dtype = "U8"), ["weight", "I8"]],
    [
      "weight_shape lies",
      "int4-g32",
      (m) => m.part("weight_shape").bytes.writeBigInt64LE(2n ** 40n, 0),
      ["weight_shape", "1099511627776"],
    ],
    ["a group does not divide", "nvfp4", (m) => ((groupOf(m)["weights"] as Json)["group_size"] = 48), [MODULE]],
    [
      "absmax has one more",
      "bitsandbytes-fp4",
      (m) => Object.assign(m.part("weight.absmax"), { shape: [65], bytes: Buffer.alloc(260) }),
      ["weight.absmax", "[64]", "[65]"],
    ],
    [
      "nested_absmax has two more",
      "bitsandbytes-nf4-nested",
      (m) => Object.assign(m.part("weight.nested_absmax"), { shape: [3], bytes: Buffer.alloc(12) }),
      ["nested_absmax", "[1]", "[3]"],
    ],
    [
      "another map of codes",
      "bitsandbytes-fp4",
      (m) => m.part("weight.quant_map").bytes.writeFloatLE(0.3, 4),
      ["quant_map", "value 1 is 0.3"],
    ],
    [
      "a map of NaN",
      "bitsandbytes-nf4-nested",
      (m) => m.part("weight.nested_quant_map").bytes.writeFloatLE(NaN, 8),
      ["nested_quant_map", "value 2"],
    ],
    [
      "a quant_state that is no JSON",
      "bitsandbytes-fp4",
      (m) => m.part("weight.quant_state.bitsandbytes__fp4").bytes.write("nonsense"),
      ["quant_state"],
    ],
    [
      "a quant_state of blocks of 0",
      "bitsandbytes-fp4",
      (m) => replaceState(m, '"blocksize": 64', '"blocksize": 0 '),
      ["blocksize"],
    ],
    [
      "a quant_state of another shape",
      "bitsandbytes-fp4",
      (m) => replaceState(m, "[64, 64]", "[32, 64]"),
      ["shape", "[64, 64]", "[32, 64]"],
    ],
  ])("are refused: %s", async (_, fixture, change, parts) => {
    const error = await readAll(changed(fixture, change)).then(
      () => "read",
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(EspalierError);
    const { code, message } = error as EspalierError;
    expect(["ERR_QUANT_PARTS", "ERR_QUANT_GROUP_SIZE"]).toContain(code);
    for (const part of parts) expect(message).toContain(part);
  });

  it.each<[string, string, (model: Model) => void, string]>([
    ["NaN", "int4-g32", (m) => m.part("weight_scale").bytes.writeFloatLE(NaN, 8), "scale 2 is nan"],
    ["infinite", "int8-channel", (m) => m.part("weight_scale").bytes.writeFloatLE(Infinity, 0), "scale 0 is inf"],
    ["negative", "fp8-channel", (m) => m.part("weight_scale").bytes.writeFloatLE(-1, 4), "scale 1 is -1"],
    ["of inputs and 0", "int8-static", (m) => m.part("input_scale").bytes.fill(0), "input_scale is 0"],
    ["of inputs and NaN", "fp8-static", (m) => m.part("input_scale").bytes.writeFloatLE(NaN, 0), "input_scale is nan"],
    ["of inputs and negative", "fp8-static", (m) => m.part("input_scale").bytes.writeFloatLE(-1), "input_scale is -1"],
    ["NaN of e8m0", "mxfp4", (m) => m.part("weight_scale").bytes.writeUInt8(255, 1), "scale 1 is nan"],
    ["NaN of e4m3", "nvfp4", (m) => m.part("weight_scale").bytes.writeUInt8(0x7f, 1), "scale 1 is nan"],
    ["NaN of absmax", "bitsandbytes-fp4", (m) => m.part("weight.absmax").bytes.writeFloatLE(NaN, 0), "scale 0 is nan"],
    ["NaN of half precision", "awq-g64", (m) => m.part("scales").bytes.writeUInt16LE(0x7e00, 0), "scale 0 is nan"],
  ])("are refused: a scale that is %s", async (_, fixture, change, message) => {
    await refuses(changed(fixture, change), "ERR_QUANT_SCALE", message);
  });

  it("are refused: a global scale of 0, groups of columns that are not there", async () => {
    const zero = changed("nvfp4", (m) => m.part("weight_global_scale").bytes.writeFloatLE(0, 0));
    await refuses(zero, "ERR_QUANT_PARTS", "weight_global_scale", "found 0");
    for (const group of [2, -1, 2 ** 31 - 1]) {
      const beyond = changed("gptq-act-order", (m) => m.part("g_idx").bytes.writeInt32LE(group, 12));
      await refuses(beyond, "ERR_QUANT_SCALE", `column group ${group}`);
    }
  });

  it("are refused: zero points of inputs", async () => {
    const path = changed("int8-static", ({ tensors }) =>
      tensors.push({ name: `${MODULE}.input_zero_point`, dtype: "I8", shape: [1], bytes: Buffer.from([3]) }),
    );
    await refuses(path, "ERR_QUANT_SCALE", "input_zero_point is 3");
  });

  it("may be zero", async () => {
    await readAll(changed("int4-g32", (m) => m.part("weight_scale").bytes.fill(0)));
  });
});

function replaceState({ part }: Model, from: string, to: string): void {
  const state = part("weight.quant_state.bitsandbytes__fp4").bytes;
  expect(from).toHaveLength(to.length);
  expect(state.indexOf(from)).toBeGreaterThan(0);
  state.write(to, state.indexOf(from));
}

it("a file that ends early is refused", async () => {
  const path = changed("int4-g32", () => {});
  const file = join(path, "model.safetensors");
  truncateSync(file, readFileSync(file).length - 10);
  await expect(readAll(path)).rejects.toBeInstanceOf(EspalierError);
});

it.each(["int4-g32", "gptq-g32", "bitsandbytes-fp4"])("quantizing %s again is refused", async (name) => {
  const again = quantize({ model: quantizedModel(name), scheme: "w8a16", out: join(root, "again") });
  await expect(again).rejects.toEqual(coded("ERR_WEIGHT_FORMAT", "already quantized"));
});

it("bytes flipped anywhere are read or refused, never worse", async () => {
  let state = 7;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const outcomes = new Set<string>();
  for (const name of [
    "int4-g64-asym",
    "int8-channel",
    "fp8-static",
    "nvfp4",
    "mxfp4",
    "gptq-act-order",
    "awq-g64",
    "bitsandbytes-nf4-nested",
  ])
    for (let run = 0; run < 30; ++run) {
      const path = changed(name, ({ tensors }) => {
        for (let flip = 0; flip < 8; ++flip) {
          const { bytes } = tensors[random(tensors.length)]!;
          if (bytes.length > 0) bytes[random(bytes.length)]! ^= 1 << random(8);
        }
      });
      const file = join(path, "model.safetensors");
      const whole = readFileSync(file);
      if (run % 3 === 0) whole[8 + random(Number(whole.readBigUInt64LE(0)))]! ^= 1 << random(8);
      writeFileSync(file, whole);
      const outcome = await readAll(path).then(
        () => "read",
        (error: unknown) => (error instanceof EspalierError ? error.code : `${String(error)}`),
      );
      outcomes.add(outcome);
    }
  expect([...outcomes].filter((outcome) => outcome !== "read" && !outcome.startsWith("ERR_"))).toEqual([]);
  expect(outcomes.has("read")).toBe(true);
}, 30_000);
