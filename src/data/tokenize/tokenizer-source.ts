// SPDX-License-Identifier: Apache-2.0
import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { openCheckpoint } from "../../checkpoint/index.js";
import { EspalierError } from "../../errors.js";
import type { TokenizerSource } from "../../tokenizer/index.js";

/** Of a model or engine directory, a tokenizer.json (its configuration is read with it) or a GGUF file. */
export async function tokenizerSourceOf(path: string): Promise<TokenizerSource> {
  const found = await stat(path).catch((error: Error) => {
    throw new EspalierError("ERR_TOKENIZER_MISSING", `${path}: ${error.message}`, { cause: error });
  });
  if (found.isDirectory()) return { directory: path };
  if (basename(path) === "tokenizer.json") return { directory: dirname(path) };
  if (path.endsWith(".json")) return { tokenizerJson: path };
  if (!path.endsWith(".gguf"))
    throw new EspalierError(
      "ERR_TOKENIZER_MISSING",
      `${path}: expected a model directory, a tokenizer.json or a .gguf file`,
    );
  await using checkpoint = await openCheckpoint(path);
  const { gguf } = checkpoint.tokenizerFiles;
  if (gguf !== undefined) return { gguf };
  throw new EspalierError("ERR_TOKENIZER_MISSING", `${path}: it holds no tokenizer`);
}
