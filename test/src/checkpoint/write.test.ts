import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import {
  checkTensors,
  exportHuggingFace,
  openCheckpoint,
  readTensor,
  type ExportProgress,
} from "../../../src/checkpoint/index.js";
import { coded, safetensorsBytes, tinyTensors, writeTinyDirectory } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

const fixtures = join(__dirname, "../../fixtures");
const root = temporaryDirectory();
let count = 0;
const fresh = (): string => join(root, `out${count++}`);
const json = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;

const sources = [
  join(fixtures, "gguf/tiny-q4_1-bias.gguf"),
  join(fixtures, "gguf/tiny-q8_0-tied.gguf"),
  join(fixtures, "tiny-llama/yarn-mscale-v5"),
  join(fixtures, "tiny-llama/f16-sharded-v4"),
  join(fixtures, "tiny-llama/bias-v4"),
];

it.each(sources)("%s keeps spec and every value in f32", async (source) => {
  await using checkpoint = await openCheckpoint(source);
  const target = fresh();
  const { files, weightBytes } = await exportHuggingFace(checkpoint, target);
  expect(files).toEqual(readdirSync(target).sort());
  await using copy = await openCheckpoint(target);
  expect(copy.spec).toEqual(checkpoint.spec);
  checkTensors(copy);
  let bytes = 0;
  for (const [name, tensor] of copy.tensors) {
    expect(tensor.type).toBe("f32");
    bytes += tensor.sizeBytes;
    expect(await readTensor(tensor)).toEqual(await readTensor(checkpoint.tensors.get(name)!));
  }
  expect(bytes).toBe(weightBytes);
});

it("rounds to 16 bits, keeps what is 16 bits already, and shards", async () => {
  await using checkpoint = await openCheckpoint(join(fixtures, "tiny-llama/bf16-v5"));
  const target = fresh();
  const steps: ExportProgress[] = [];
  await exportHuggingFace(checkpoint, target, { dtype: "bf16", maxShardBytes: 9000, onProgress: (p) => steps.push(p) });
  expect(json(join(target, "config.json"))["torch_dtype"]).toBe("bfloat16");
  const index = json(join(target, "model.safetensors.index.json"));
  const shards = readdirSync(target).filter((name) => name.endsWith(".safetensors"));
  expect(shards.length).toBeGreaterThan(2);
  expect([...new Set(Object.values(index["weight_map"] as object))].sort()).toEqual(shards);
  expect(steps.at(-1)).toEqual({ bytesDone: 23560, bytesTotal: 23560 });
  await using copy = await openCheckpoint(target);
  for (const [name, tensor] of copy.tensors) {
    expect(tensor.type).toBe("bf16");
    expect(await readTensor(tensor)).toEqual(await readTensor(checkpoint.tensors.get(name)!));
  }
});

it("writes lineage, tokenizer files and extra files", async () => {
  const source = writeTinyDirectory(fresh());
  writeFileSync(join(source, "tokenizer.json"), '{"a": 1}');
  writeFileSync(join(source, "tokenizer_config.json"), '{"b":2}');
  writeFileSync(join(source, "merges.txt"), "x y\n");
  await using checkpoint = await openCheckpoint(source);
  const target = fresh();
  await exportHuggingFace(checkpoint, target, {
    dtype: "f16",
    files: { "notes.txt": "n", "tokenizer_config.json": { c: 3 } },
  });
  expect(readFileSync(join(target, "tokenizer.json"), "utf8")).toBe('{"a": 1}');
  expect(readFileSync(join(target, "merges.txt"), "utf8")).toBe("x y\n");
  expect(readFileSync(join(target, "notes.txt"), "utf8")).toBe("n");
  expect(json(join(target, "tokenizer_config.json"))).toEqual({ c: 3 });
  expect(json(join(target, "generation_config.json"))).toMatchObject({ eos_token_id: 2 });
  expect(json(join(target, "espalier.json"))).toMatchObject({
    step: "export",
    options: { dtype: "f16" },
    parent: { format: "safetensors", fingerprint: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string },
  });
  await expect(exportHuggingFace(checkpoint, fresh(), { files: { "../x": "" } })).rejects.toThrow(
    coded("ERR_ARGUMENT"),
  );
});

it("writes whole-number rotary values as floats, which transformers 4 insists on", async () => {
  await using checkpoint = await openCheckpoint(join(fixtures, "tiny-llama/llama3-v5"));
  const target = fresh();
  await exportHuggingFace(checkpoint, target);
  const text = readFileSync(join(target, "config.json"), "utf8");
  expect(text).toContain('"factor": 8.0,');
  expect(text).toContain('"rope_theta": 500000.0');
  expect(text).toContain('"original_max_position_embeddings": 64');
});

describe("when it cannot be done, nothing is left", () => {
  const parent = fresh();
  mkdirSync(parent);
  const target = join(parent, "out");
  afterEach(() => {
    jest.restoreAllMocks();
    expect(readdirSync(parent)).toEqual([]);
  });

  it("because the disk fills up, at any write", async () => {
    await using checkpoint = await openCheckpoint(writeTinyDirectory(fresh()));
    const probe = await open(join(root, "probe"), "w");
    const prototype = Object.getPrototypeOf(probe) as FileHandle;
    await probe.close();
    for (const failing of [1, 2, 4]) {
      const real = prototype.write as (...args: unknown[]) => Promise<unknown>;
      let calls = 0;
      const spy = jest.spyOn(prototype, "write").mockImplementation(function (this: FileHandle, ...args: unknown[]) {
        if (++calls < failing) return real.apply(this, args) as never;
        throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" });
      });
      await expect(exportHuggingFace(checkpoint, target, { maxShardBytes: 3000 })).rejects.toThrow(
        coded("ERR_DISK_FULL", target),
      );
      spy.mockRestore();
    }
  });

  it("because it was stopped", async () => {
    await using checkpoint = await openCheckpoint(writeTinyDirectory(fresh()));
    const controller = new AbortController();
    const options = { signal: controller.signal, onProgress: () => controller.abort() };
    await expect(exportHuggingFace(checkpoint, target, options)).rejects.toThrow(coded("ERR_ABORTED"));
    await expect(exportHuggingFace(checkpoint, target, options)).rejects.toThrow(coded("ERR_ABORTED"));
  });

  it("because a weight does not fit f16", async () => {
    const source = writeTinyDirectory(fresh());
    const tensors = tinyTensors();
    tensors[2]!.bytes.writeFloatLE(70000, 8);
    writeFileSync(join(source, "model.safetensors"), safetensorsBytes(tensors));
    await using checkpoint = await openCheckpoint(source);
    await expect(exportHuggingFace(checkpoint, target, { dtype: "f16" })).rejects.toThrow(
      coded("ERR_WEIGHT_VALUE", "70000", "f16"),
    );
    await expect(exportHuggingFace(checkpoint, target, { dtype: "i8" as "f16" })).rejects.toThrow(
      coded("ERR_ARGUMENT", "dtype"),
    );
    await expect(exportHuggingFace(checkpoint, target, { maxShardBytes: -1 })).rejects.toThrow(
      coded("ERR_ARGUMENT", "maxShardBytes"),
    );
  });

  it("because the checkpoint was closed", async () => {
    const checkpoint = await openCheckpoint(writeTinyDirectory(fresh()));
    checkpoint.close();
    await expect(exportHuggingFace(checkpoint, target)).rejects.toThrow(coded("ERR_FILE_CLOSED"));
  });
});
