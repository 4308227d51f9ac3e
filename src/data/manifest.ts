// SPDX-License-Identifier: Apache-2.0
/**
 * PREFIX.json beside PREFIX.bin: how the tokens were made. Data from elsewhere has none.
 */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { EspalierError } from "../errors.js";
import { parseStrictJson } from "../checkpoint/strict-json.js";
import { parseFields } from "../model/parse-fields.js";

export const MANIFEST_VERSION = 1;

const count = z.number().int().min(0);

const schema = z.object({
  version: z.literal(MANIFEST_VERSION),
  tokenizer: z.object({ fingerprint: z.string(), vocabSize: count, eodTokenId: count.nullable() }),
  dtype: z.enum(["uint16", "int32"]),
  documents: count,
  sequences: count,
  tokens: count,
  emptyDocuments: count,
  /** UTF-8 bytes of the texts, for bits per byte. */
  textBytes: count,
  badLines: count,
  jsonKey: z.string(),
  appendEod: z.boolean(),
  addSpecialTokens: z.boolean(),
  /** Names and sizes of the files it was made from. */
  inputs: z.array(z.object({ name: z.string(), sizeBytes: count })),
});

export type DataManifest = z.infer<typeof schema>;

export const manifestPath = (prefix: string): string => `${prefix}.json`;

/** null when there is none. */
export async function readManifest(prefix: string): Promise<DataManifest | null> {
  const path = manifestPath(prefix);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw new EspalierError("ERR_FILE_READ", `${path}: ${error.message}`, { cause: error });
  });
  if (text === null) return null;
  const value = parseStrictJson(text, path);
  const version = (value as { version?: unknown } | null)?.version;
  if (version !== MANIFEST_VERSION)
    throw new EspalierError(
      "ERR_DATA_VERSION",
      `${path}: version: expected ${MANIFEST_VERSION}, found ${JSON.stringify(version)}`,
    );
  return parseFields(schema, value, { where: path, code: "ERR_DATA_INDEX" });
}
