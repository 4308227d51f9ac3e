// SPDX-License-Identifier: Apache-2.0
/**
 * A tokenizer's identity for data made with it. Runs in the worker.
 */
import { createHash } from "node:crypto";
import { isRecord } from "../json.js";
import { adaptTokenizerJson } from "./adapt.js";
import type { TokenizerParts } from "./read-source.js";

/** "sha256:..." over what decides the ids, in one spelling. */
export function fingerprintOf({ tokenizerJson, where }: TokenizerParts): string {
  // Checked, but hashed as it stands: how parts are put in other words may change with the version.
  const { model, added_tokens: added } = adaptTokenizerJson(tokenizerJson, where);
  const { normalizer = null, pre_tokenizer: preTokenizer = null } = tokenizerJson as Record<string, unknown>;
  const hash = createHash("sha256");
  hash.update(canonical({ normalizer, preTokenizer, type: model["type"] ?? null }));
  hash.update(canonical(isRecord(model["vocab"]) ? byId(model["vocab"]) : model["vocab"]));
  hash.update(canonical(Array.isArray(model["merges"]) ? model["merges"].map(pairOf) : null));
  const tokens = added.map(({ id, content, special }) => [id, content, special] as const);
  hash.update(canonical(tokens.sort(([a], [b]) => a - b)));
  return `sha256:${hash.digest("hex")}`;
}

function byId(vocab: Record<string, unknown>): [string, number][] {
  return (Object.entries(vocab) as [string, number][]).sort(([, a], [, b]) => a - b);
}

/** "a b" or ["a", "b"]. */
function pairOf(merge: unknown): unknown {
  if (typeof merge !== "string") return merge;
  const at = merge.indexOf(" ");
  return [merge.slice(0, at), merge.slice(at + 1)];
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    isRecord(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  );
}
