// Shared by the examples: gives an engine directory for what the command line names.
//   node examples/01_generate.mjs                      SmolLM2-135M-Instruct, fetched and built once
//   node examples/01_generate.mjs my-model             a Hugging Face directory or GGUF file, built once
//   node examples/01_generate.mjs my-engine            an engine directory, as it is
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { buildEngine, pull } from "espalier";

/** Path of the model that the command line names; SmolLM2 when it names none. */
export async function modelFromArguments() {
  const named = process.argv[2];
  if (named !== undefined) return resolve(named);
  return (await pull("smollm2")).path;
}

/** Engine directory of the model that the command line names, built the first time it is asked for. */
export async function engineFromArguments(weights = "int8-w8a8") {
  const model = await modelFromArguments();
  return existsSync(join(model, "engine.json")) ? model : buildOnce(model, weights);
}

export async function buildOnce(model, weights) {
  const name = createHash("sha256").update(model).digest("hex").slice(0, 12);
  const directory = join(homedir(), ".cache", "espalier", "examples", `${name}-${weights}`);
  if (!existsSync(directory)) {
    console.error(`building ${weights} engine of ${model}`);
    await buildEngine(model, directory, { weights });
  }
  return directory;
}
