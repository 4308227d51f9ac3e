import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspectModel } from "../../../src/checkpoint/index.js";
import { ggufBytes, tinyGgufTensors, writeTinyDirectory } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

it("sums a GGUF file up", async () => {
  const summary = await inspectModel(join(__dirname, "../../fixtures/gguf/tiny-q8_0-tied.gguf"));
  expect(summary).toMatchObject({
    format: "gguf",
    family: "llama",
    parameters: 70 * 64 + 2 * (64 * 64 * 2 + 32 * 64 * 2 + 96 * 64 * 3 + 128) + 64,
    tokenizer: { source: null, chatTemplate: false },
    problem: null,
  });
  expect(summary.dtypes.map((row) => row.dtype)).toEqual(["q8_0", "f32"]);
  expect(summary.dtypes.reduce((sum, row) => sum + row.parameters, 0)).toBe(summary.parameters);
});

it("says why weights cannot be used", async () => {
  const path = join(temporaryDirectory(), "m.gguf");
  const tensors = tinyGgufTensors().map((tensor, i) => (i === 2 ? { ...tensor, type: 20 } : tensor));
  writeFileSync(path, ggufBytes({ tensors }));
  const { problem, tokenizer } = await inspectModel(path);
  expect(problem).toMatchObject({ code: "ERR_GGUF_TYPE", message: expect.stringContaining("attn_q.weight") as string });
  expect(problem?.message).toMatch(/iq4_nl.*q4_1/);
  expect(tokenizer).toMatchObject({ source: "gguf", tokens: 32 });
});

it("sees the files of a directory", async () => {
  const directory = writeTinyDirectory(join(temporaryDirectory(), "m"));
  writeFileSync(join(directory, "tokenizer.json"), "{}");
  const { files, tokenizer, fingerprint, bytes } = await inspectModel(directory);
  expect(files).toEqual([{ name: "model.safetensors", bytes: expect.any(Number) as number }]);
  expect(tokenizer.source).toBe("tokenizer.json");
  expect(bytes).toBeLessThan(files[0]!.bytes);
  expect((await inspectModel(directory)).fingerprint).toBe(fingerprint);
});

it("tells weights apart that have the same shapes", async () => {
  const directory = writeTinyDirectory(join(temporaryDirectory(), "m"));
  const { fingerprint } = await inspectModel(directory);
  const path = join(directory, "model.safetensors");
  const bytes = readFileSync(path);
  const data = 8 + Number(bytes.readBigUInt64LE(0));
  for (const place of [data, Math.floor((data + bytes.length) / 2), bytes.length - 1]) {
    const changed = Buffer.from(bytes);
    changed[place]! ^= 1;
    writeFileSync(path, changed);
    expect((await inspectModel(directory)).fingerprint).not.toBe(fingerprint);
  }
  writeFileSync(path, bytes);
  expect((await inspectModel(directory)).fingerprint).toBe(fingerprint);
});
