import { cpSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildEngine, Engine } from "../../../src/engine/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { engineOf, tinyLlama } from "./fixtures.js";

const directory = temporaryDirectory();
let count = 0;
const code = (expected: string) => expect.objectContaining({ code: expected });

/** engine.json as far as these tests damage it. */
interface Manifest {
  engineVersion?: number;
  target: { arch: string };
  layouts: Record<string, number>;
  tensors: { role: string; layer: number; format: string; n: number; sizeBytes: number; offset: number }[];
  weights: { file: string; sizeBytes: number };
  spec: { numLayers: number; numKvHeads: number; hiddenSize: number; headDim?: number };
}

/** A copy of a good engine whose engine.json was changed. */
async function engineWith(change: (manifest: Manifest) => void): Promise<string> {
  const copy = join(directory, `copy-${count++}`);
  cpSync(await engineOf("plain-v4"), copy, { recursive: true });
  const path = join(copy, "engine.json");
  const manifest = JSON.parse(readFileSync(path, "utf8")) as Manifest;
  change(manifest);
  writeFileSync(path, JSON.stringify(manifest));
  return copy;
}

describe("a damaged engine is refused", () => {
  it.each<[string, string, (manifest: Manifest) => void]>([
    ["another version", "ERR_ENGINE_VERSION", (m) => (m.engineVersion = 99)],
    ["no version", "ERR_ENGINE_VERSION", (m) => delete m.engineVersion],
    ["another machine", "ERR_ENGINE_TARGET", (m) => (m.target.arch = "mips")],
    ["another layout", "ERR_ENGINE_VERSION", (m) => (m.layouts.f32 = 77)],
    ["a format in use without its layout", "ERR_ENGINE_FORMAT", (m) => delete m.layouts["f32"]],
    ["a flag that is none", "ERR_ENGINE_FORMAT", (m) => Object.assign(m.spec, { attentionBias: {} })],
    ["no tensors", "ERR_ENGINE_FORMAT", (m) => (m.tensors = [])],
    ["a missing tensor", "ERR_ENGINE_FORMAT", (m) => m.tensors.splice(3, 1)],
    ["an unknown role", "ERR_ENGINE_FORMAT", (m) => (m.tensors[3]!.role = "x_proj")],
    ["a layer out of range", "ERR_ENGINE_FORMAT", (m) => (m.tensors[3]!.layer = 1000)],
    ["an unknown format", "ERR_ENGINE_FORMAT", (m) => (m.tensors[2]!.format = "f8")],
    ["a wrong shape", "ERR_ENGINE_FORMAT", (m) => (m.tensors[2]!.n += 16)],
    ["a wrong size", "ERR_ENGINE_FORMAT", (m) => (m.tensors[2]!.sizeBytes += 64)],
    ["an unaligned offset", "ERR_ENGINE_FORMAT", (m) => (m.tensors[2]!.offset += 4)],
    ["an offset beyond the file", "ERR_FILE_TRUNCATED", (m) => (m.tensors[2]!.offset = 2 ** 40)],
    ["a negative offset", "ERR_ENGINE_FORMAT", (m) => (m.tensors[2]!.offset = -64)],
    ["a size that does not fit", "ERR_ENGINE_MEMORY", (m) => (m.weights.sizeBytes = 2 ** 50)],
    ["an absurd spec", "ERR_MODEL_CONFIG", (m) => (m.spec.numLayers = 2 ** 40)],
    ["heads that do not divide", "ERR_MODEL_CONFIG", (m) => (m.spec.numKvHeads = 3)],
    ["a spec of another size", "ERR_ENGINE_FORMAT", (m) => (m.spec.hiddenSize = 48)],
    ["a spec without a field", "ERR_MODEL_CONFIG", (m) => delete m.spec.headDim],
    ["a path elsewhere", "ERR_ENGINE_FORMAT", (m) => (m.weights.file = "../weights.bin")],
  ])("%s", async (_, expected, change) => {
    await expect(Engine.load(await engineWith(change))).rejects.toEqual(code(expected));
  });

  it("no engine.json, no JSON, a short weights.bin", async () => {
    await expect(Engine.load(directory)).rejects.toEqual(code("ERR_ENGINE_NOT_FOUND"));
    const broken = await engineWith(() => {});
    truncateSync(join(broken, "weights.bin"), 1000);
    await expect(Engine.load(broken)).rejects.toEqual(code("ERR_FILE_TRUNCATED"));
    writeFileSync(join(broken, "engine.json"), "{");
    await expect(Engine.load(broken)).rejects.toEqual(code("ERR_ENGINE_FORMAT"));
  });

  it("a flipped bit is found by verify, and named", async () => {
    const flipped = await engineWith(() => {});
    const path = join(flipped, "weights.bin");
    const bytes = readFileSync(path);
    bytes[5000] = (bytes[5000] as number) ^ 1;
    writeFileSync(path, bytes);
    await expect(Engine.load(flipped, { verify: true })).rejects.toEqual(code("ERR_ENGINE_CHECKSUM"));
    await (await Engine.load(await engineOf("plain-v4"), { verify: true })).dispose();
  });
});

describe("load options", () => {
  it.each([
    ["contextTokens", { contextTokens: 0 }, "ERR_ARGUMENT"],
    ["contextTokens beyond the model", { contextTokens: 100_000 }, "ERR_CONTEXT_LENGTH"],
    ["isa", { isa: "sse9" as "ref" }, "ERR_ISA"],
    ["kvDtype", { kvDtype: "i4" as "f32" }, "ERR_ARGUMENT"],
    ["threads", { threads: -1 }, "ERR_ARGUMENT"],
    ["kvTokens", { kvTokens: 2 ** 45 }, "ERR_ENGINE_MEMORY"],
  ])("bad %s", async (_, options, expected) => {
    await expect(engineOf("plain-v4").then((path) => Engine.load(path, options))).rejects.toEqual(code(expected));
  });
});

describe("buildEngine", () => {
  it("overrides the format by pattern, the last match winning", async () => {
    const out = join(directory, "mixed");
    const report = await buildEngine(tinyLlama("plain-v4"), out, {
      weights: "int8-w8a8",
      overrides: { "layers.0.*": "f16", "*down_proj*": "bf16" },
    });
    expect(report.formats["f16"]?.tensors).toBe(6);
    expect(report.formats["bf16"]?.tensors).toBe(2);
    await using engine = await Engine.load(out);
    expect((await engine.logits([1, 2])).length).toBe(1);
  });

  it("leaves nothing behind when stopped, and refuses to overwrite", async () => {
    const controller = new AbortController();
    const out = join(directory, "stopped");
    const stopped = buildEngine(tinyLlama("plain-v4"), out, {
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(stopped).rejects.toEqual(code("ERR_ABORTED"));
    await buildEngine(tinyLlama("plain-v4"), out);
    await expect(buildEngine(tinyLlama("plain-v4"), out)).rejects.toEqual(code("ERR_OUTPUT_EXISTS"));
  });

  it("refuses unknown formats, patterns without a match and NaN weights", async () => {
    await expect(buildEngine(tinyLlama("plain-v4"), join(directory, "a"), { weights: "int3" })).rejects.toEqual(
      code("ERR_WEIGHT_FORMAT"),
    );
    const overrides = { "layers.99.*": "f16" };
    await expect(buildEngine(tinyLlama("plain-v4"), join(directory, "a"), { overrides })).rejects.toEqual(
      code("ERR_ARGUMENT"),
    );
    const poisoned = join(directory, "nan");
    cpSync(tinyLlama("plain-v4"), poisoned, { recursive: true });
    const path = join(poisoned, "model.safetensors");
    const bytes = readFileSync(path);
    bytes.writeUInt32LE(0x7fc00000, bytes.length - 8);
    writeFileSync(path, bytes);
    await expect(buildEngine(poisoned, join(directory, "b"))).rejects.toEqual(code("ERR_WEIGHT_VALUE"));
  });
});
