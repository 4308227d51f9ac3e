import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { tinyConfig, writeTinyDirectory } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier } from "./run.js";

const root = temporaryDirectory();
const model = writeTinyDirectory(join(root, "tiny"), { ...tinyConfig, head_dim: 6 });

it("writes a GGUF file and says what fell back", async () => {
  const out = join(root, "tiny.gguf");
  const { status, stdout, stderr } = await espalier([
    "export",
    model,
    "--to",
    "gguf",
    "--type",
    "q8_0",
    "--out",
    out,
    "--json",
  ]);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ path: out, type: "q8_0", tensors: { q8_0: 7, f16: 1, f32: 3 } });
  expect(stderr).toContain("no tokenizer");
  expect(stderr).toContain("1 tensor written as f16");
  const again = await espalier(["export", model, "--to", "gguf", "--out", out]);
  expect(again).toMatchObject({ status: 1, stderr: expect.stringContaining("ERR_OUTPUT_EXISTS") as string });
  const read = await espalier(["inspect", out, "--json"]);
  expect(read.status).toBe(0);
});

it("refuses another target's flags, unknown types and targets", async () => {
  mkdirSync(join(root, "empty"));
  const out = join(root, "empty", "x");
  for (const [wrong, code] of [
    [["--type", "q8_0"], "--type: not with --to hf"],
    [["--to", "gguf", "--dtype", "f16"], "--dtype: not with --to gguf"],
    [["--to", "gguf", "--type", "q9"], "q9"],
    [["--to", "ggml"], "expected one of hf, gguf"],
  ] as const) {
    const { status, stderr } = await espalier(["export", model, ...wrong, "--out", out]);
    expect(stderr).toContain(code);
    expect(status).toBe(2);
  }
  expect((await espalier(["export", model])).stderr).toContain("--out");
  expect(readdirSync(join(root, "empty"))).toEqual([]);
});
