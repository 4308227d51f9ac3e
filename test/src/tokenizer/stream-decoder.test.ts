import fc from "fast-check";
import { decoderFactory, type DecoderStage } from "../../../src/tokenizer/stream-decoder.js";
import { byteCharacters } from "./tiny-tokenizer.js";

const llama2 = {
  type: "Sequence",
  decoders: [
    { type: "Replace", pattern: { String: "▁" }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
    { type: "Strip", content: " ", start: 1, stop: 0 },
  ],
};
const byteLevel = { type: "ByteLevel" };
const bytes = (text: string): string[] => [...Buffer.from(text)].map((byte) => byteCharacters[byte] as string);
const fallback = (...values: number[]): string[] =>
  values.map((byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);

function make(config: unknown): DecoderStage {
  const factory = decoderFactory(config);
  if (factory === null) throw new Error("not supported");
  return factory();
}

/** What each push gives, then what flush gives. */
function pieces(config: unknown, tokens: string[]): string[] {
  const stage = make(config);
  return [...tokens.map((token) => stage.push(token).join("")), stage.flush().join("")];
}

describe("decoders", () => {
  // Expected text: the Rust tokenizers'.
  it.each([
    ["bytes", byteLevel, ["he", "llo", "Ġw"], "hello w"],
    ["a character over three tokens", byteLevel, bytes("€"), "€"],
    ["a stray byte", byteLevel, ["a", byteCharacters[0xc3] as string, "b"], "a\ufffdb"],
    ["a byte-order mark", byteLevel, bytes("\ufeffx"), "\ufeffx"],
    ["a special token not of byte characters", byteLevel, ["a", "<｜end｜>", "b"], "a<｜end｜>b"],
    ["SentencePiece", llama2, ["▁Hello", "▁", "▁world"], "Hello  world"],
    ["only the first space goes", llama2, ["▁▁▁a", "▁b"], "  a b"],
    ["byte fallback", llama2, ["▁a", ...fallback(0xe2, 0x82, 0xac), "b"], "a€b"],
    ["a broken run is all replaced", llama2, [...fallback(0x41, 0xe2, 0x82), "b"], "\ufffd\ufffd\ufffdb"],
    ["Metaspace", { type: "Metaspace", replacement: "▁", prepend_scheme: "first" }, ["▁a", "▁b"], "a b"],
    ["Metaspace without prefix", { type: "Metaspace", prepend_scheme: "never" }, ["▁a", "▁b"], " a b"],
    ["WordPiece", { type: "WordPiece", prefix: "##", cleanup: true }, ["don", "'", "t", "##s", "."], "don ' ts."],
    ["word suffixes", { type: "BPEDecoder", suffix: "</w>" }, ["a", "b</w>", "c</w>"], "ab c"],
    ["no decoder", null, ["a", "b"], "a b"],
    ["stripped at both ends", { type: "Strip", content: "_", start: 1, stop: 2 }, ["__a___"], "_a_"],
    [
      "a fused end is held back",
      { type: "Sequence", decoders: [{ type: "Fuse" }, { type: "Strip", content: " ", start: 2, stop: 1 }] },
      [" ", "  a ", "b "],
      " a b",
    ],
  ])("%s", (_name, config, tokens, text) => {
    expect(pieces(config, tokens).join("")).toBe(text);
  });

  it.each([{ type: "CTC" }, { type: "Replace", pattern: { Regex: "a" } }, { type: "Sequence", decoders: [{}] }, "x"])(
    "does not know %j",
    (config) => {
      expect(decoderFactory(config)).toBeNull();
    },
  );

  it("gives no part of a character", () => {
    expect(pieces(byteLevel, bytes("a😀b"))).toEqual(["a", "", "", "", "😀", "b", ""]);
    expect(pieces(llama2, [...fallback(0xf0, 0x9f, 0x98, 0x80), "b"])).toEqual(["", "", "", "", "😀b", ""]);
  });

  it("starts afresh after flush", () => {
    const stage = make(llama2);
    const run = (): string => stage.push("▁a").join("") + stage.push("<0xE2>").join("") + stage.flush().join("");
    expect(run()).toBe("a\ufffd");
    expect(run()).toBe("a\ufffd");
  });

  it.each([
    ["byte level", byteLevel],
    ["SentencePiece", llama2],
  ])("%s: no later token changes what was given", (_name, config) => {
    const token = fc.oneof(
      fc.constantFrom("▁", "▁a", "b", "<s>", "Ġ", "é", ...fallback(0x41, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xff)),
      fc.constantFrom(...byteCharacters),
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), fc.array(token, { maxLength: 6 }), (head, tail) => {
        const given = pieces(config, head).slice(0, -1).join("");
        expect(
          pieces(config, [...head, ...tail])
            .join("")
            .startsWith(given),
        ).toBe(true);
      }),
    );
  });
});
