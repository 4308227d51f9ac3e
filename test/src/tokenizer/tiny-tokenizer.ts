/** Tokenizers small enough to read. */

/** GPT-2's printable stand-in for each byte. */
export const byteCharacters: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : next++);
  });
})();

export const CHAT_TEMPLATE =
  "{% if messages[0]['role'] == 'robot' %}{{ raise_exception('robots may not begin') }}{% endif %}" +
  "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}{{ eos_token }}{% endfor %}" +
  "{% if tools is not none %}tools:{{ tools | length }}{% endif %}" +
  "{% if add_generation_prompt %}[assistant]{% endif %}";

/** Byte-level BPE: <s>, </s>, 256 bytes, then "he", "ll", "hell", "hello", "Ġw". */
export function tinyByteLevel(): { tokenizerJson: Record<string, unknown>; tokenizerConfig: Record<string, unknown> } {
  const tokens = ["<s>", "</s>", ...byteCharacters, "he", "ll", "hell", "hello", "Ġw"];
  const special = (id: number): object => ({ id, content: tokens[id], special: true, normalized: false });
  return {
    tokenizerJson: {
      added_tokens: [special(0), special(1), { id: 263, content: "<user>", special: false, normalized: false }],
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
      post_processor: {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
        pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
        special_tokens: { "<s>": { id: "<s>", ids: [0], tokens: ["<s>"] } },
      },
      decoder: { type: "ByteLevel" },
      model: {
        type: "BPE",
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges: ["h e", "l l", "he ll", "hell o", "Ġ w"],
      },
    },
    tokenizerConfig: {
      bos_token: "<s>",
      eos_token: { content: "</s>", special: true },
      chat_template: CHAT_TEMPLATE,
    },
  };
}

/** GGUF metadata of a SentencePiece BPE with byte fallback: <unk> <s> </s>, 256 bytes, ▁ a b c ▁a ab ▁ab, <tool>. */
export function tinySentencePiece(): Record<string, unknown> {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const pieces = ["▁", "a", "b", "c", "▁a", "ab", "▁ab"];
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, ...pieces, "<tool>"];
  const scores = tokens.map((token) => (token === "▁ab" ? -1 : token === "ab" ? -2 : token === "▁a" ? -3 : -10));
  const types = [2, 3, 3, ...bytes.map(() => 6), ...pieces.map(() => 1), 4];
  return {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.scores": scores,
    "tokenizer.ggml.token_type": types,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
  };
}
