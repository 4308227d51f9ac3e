import { readdirSync } from "node:fs";
import { join } from "node:path";
import { tinyLlama } from "../engine/fixtures.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier } from "./run.js";

const out = join(temporaryDirectory(), "onnx");
const tiny = tinyLlama("plain-v4");

it("writes a model and tells what it wrote", async () => {
  const flags = ["--to", "onnx", "--quantize", "int8", "--dtype", "f16", "--external-data"];
  const { status, stdout } = await espalier(["export", tiny, ...flags, "--out", out, "--json"]);
  expect(status).toBe(0);
  const files = ["config.json", "espalier.json", "generation_config.json", "model.onnx", "model.onnx_data"];
  expect(JSON.parse(stdout)).toMatchObject({ path: out, files, externalData: true });
  expect(readdirSync(out).sort()).toEqual(files);
});

it.each([
  [["--to", "onnx", "--quantize", "int5"], "quantize"],
  [["--to", "onnx", "--group-size", "32"], "int4"],
  [["--to", "onnx", "--quantize", "int4", "--group-size", "many"], "groupSize"],
  [["--quantize", "int8"], "--quantize: not with --to hf"],
  [["--external-data"], "--external-data: not with --to hf"],
])("%j is wrong usage", async (flags, part) => {
  const { status, stderr } = await espalier(["export", tiny, ...flags, "--out", `${out}-refused`]);
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(part) as string });
});
