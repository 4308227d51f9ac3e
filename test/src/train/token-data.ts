/** Token files for tests: documents of a noisy chain of tokens that a model can learn. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { IndexedDatasetWriter } from "../../../src/data/index.js";
import { random } from "./toy-trainer.js";

/** Tokens 1 ... 31, each document ended by 0; the prefix. */
export async function writeTokenData(directory: string, documents = 300): Promise<string> {
  const prefix = join(directory, "chain");
  const writer = await IndexedDatasetWriter.create(prefix, "uint16");
  const draw = random(5);
  for (let document = 0; document < documents; ++document) {
    const tokens = new Uint16Array(21 + Math.floor(draw() * 60));
    let token = 1 + Math.floor(draw() * 31);
    for (let at = 0; at + 1 < tokens.length; ++at) {
      tokens[at] = token;
      token = draw() < 0.1 ? 1 + Math.floor(draw() * 31) : 1 + ((3 * token + 1) % 31);
    }
    await writer.append(tokens, Int32Array.of(tokens.length, -1));
  }
  await writer.finish();
  return prefix;
}

/** A new model for it. */
export const tinyFields = {
  model_type: "llama",
  vocab_size: 32,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
};

/** The same as YAML; the path. */
export function writeTinyYaml(directory: string): string {
  const path = join(directory, "tiny.yaml");
  const lines = Object.entries(tinyFields).map(([key, value]) => `${key}: ${value}\n`);
  writeFileSync(path, lines.join(""));
  return path;
}
