/** Compares a tokenizer with what the Rust tokenizers gave (test/oracles/tokenizer_lines.py). */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Tokenizer } from "../src/tokenizer/index.js";

interface Expected {
  hashes: string[];
  ids: number[][];
  decode: { ids: number[]; text: string }[];
}

const folder = join(__dirname, "fixtures/tokenizers");

function read<T>(name: string): T {
  return JSON.parse(readFileSync(join(folder, name), "utf8")) as T;
}

export function hashOf(ids: Int32Array): string {
  return createHash("sha256")
    .update(Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength))
    .digest("hex")
    .slice(0, 8);
}

/** The first few lines and ids that differ; empty when all agree. */
export async function differences(tokenizer: Tokenizer, name: string): Promise<string[]> {
  const lines = read<string[]>("lines.json");
  const expected = read<Expected>(`${name}.json`);
  if (lines.length !== 1000 || expected.hashes.length !== 1000) throw new Error("the fixture is not whole");
  const found: string[] = [];
  const rows = await tokenizer.encodeBatch(lines, { addSpecialTokens: false });
  rows.forEach((ids, i) => {
    if (hashOf(ids) !== expected.hashes[i])
      found.push(`line ${i} ${JSON.stringify(lines[i])}: ${String(expected.ids[i])} became ${String(ids)}`);
  });
  for (const { ids, text } of expected.decode) {
    const whole = await tokenizer.decode(ids, { skipSpecialTokens: false });
    const stream = tokenizer.createDecodeStream({ skipSpecialTokens: false });
    let streamed = "";
    for (const id of ids) streamed += await stream.push(id);
    streamed += await stream.flush();
    for (const given of [whole, streamed])
      if (given !== text)
        found.push(`decode ${String(ids)}: expected ${JSON.stringify(text)}, found ${JSON.stringify(given)}`);
  }
  return found.slice(0, 5);
}
