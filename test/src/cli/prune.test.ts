import { existsSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../../temporary.js";
import { tinyLlama } from "../engine/fixtures.js";
import { espalier } from "./run.js";

const config = join(__dirname, "../../fixtures/prune/llama-3.1-8b/config.json");
const root = temporaryDirectory();

it("counts without weights", async () => {
  const sizes = ["--ffn", "9216", "--hidden", "3072", "--dry-run", "--json"];
  const { status, stdout } = await espalier(["prune", "--config-only", config, ...sizes]);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ parameters: 4512746496, out: null });
});

it("prunes, and lists candidates", async () => {
  const out = join(root, "pruned");
  const pruned = await espalier(["prune", tinyLlama("plain-v4"), "--drop-layers", "1", "--out", out]);
  expect({ status: pruned.status, stderr: pruned.stderr }).toEqual({ status: 0, stderr: expect.any(String) as string });
  expect(pruned.stdout).toMatch(/layers dropped, counted from 1: 1/);
  expect(existsSync(join(out, "model.safetensors"))).toBe(true);
  const listed = await espalier(["prune", "--config-only", config, "--target-params", "5B", "--list-candidates"]);
  expect(listed.status).toBe(0);
  expect(listed.stdout).toMatch(/importance kept/);
});

it("wrong options are wrong usage", async () => {
  const { status, stdout } = await espalier(["prune", "--config-only", config, "--drop-layers", "30-33", "--json"]);
  expect(status).toBe(2);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "ERR_ARGUMENT" } });
});
