// SPDX-License-Identifier: Apache-2.0
/**
 * The name GGUF has for a byte-level pre-tokenizer, found by what it does: the patterns it cuts text with, in order.
 */
import { isRecord } from "../json.js";
import { GPT2_PATTERN } from "./adapt.js";
import { ggufPreTokenizers } from "./gguf-pre-tokenizers.js";

/** Names for the same patterns are many; these are what converters write. */
const preferred = ["gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "dbrx", "default"];

/** null when GGUF has no name for it. */
export function ggufPreName(preTokenizer: unknown, ignoreMerges: boolean): string | null {
  const wanted = cutsOf(preTokenizer)?.join("\n");
  if (wanted === undefined) return null;
  for (const name of preferred) {
    const known = ggufPreTokenizers.get(name);
    if (known?.ignoreMerges === ignoreMerges && cutsOf(known.preTokenizer)?.join("\n") === wanted) return name;
  }
  return null;
}

/** null for a part that cuts in a way not known here. */
function cutsOf(config: unknown): string[] | null {
  if (!isRecord(config)) return null;
  switch (config["type"]) {
    case "Sequence": {
      const parts = Array.isArray(config["pretokenizers"]) ? config["pretokenizers"].map(cutsOf) : [null];
      return parts.some((part) => part === null) ? null : (parts as string[][]).flat();
    }
    case "ByteLevel":
      if (config["add_prefix_space"] === true) return null;
      return config["use_regex"] === false ? [] : [GPT2_PATTERN];
    case "Digits":
      return [config["individual_digits"] === true ? String.raw`\p{N}` : String.raw`\p{N}+`];
    case "Split": {
      const pattern = isRecord(config["pattern"]) ? config["pattern"]["Regex"] : undefined;
      const isolates = config["behavior"] === "Isolated" && config["invert"] !== true;
      return isolates && typeof pattern === "string" ? [pattern] : null;
    }
    default:
      return null;
  }
}
