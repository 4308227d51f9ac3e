import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  loadTokenizer,
  tokenizerFromCheckpoint,
  tokenizerFromFiles,
  writeTokenizerFiles,
  type Tokenizer,
} from "../../../src/tokenizer/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { CHAT_TEMPLATE, tinyByteLevel } from "./tiny-tokenizer.js";

const id = (byte: string): number => 2 + byte.charCodeAt(0);
const HELLO = 261;

describe("a tokenizer", () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(tinyByteLevel());
  });
  afterAll(() => tokenizer.dispose());

  it("says what it has", () => {
    expect(tokenizer).toMatchObject({
      vocabSize: 264,
      bosTokenId: 0,
      eosTokenIds: [1],
      padTokenId: null,
      addsBos: true,
      chatTemplate: CHAT_TEMPLATE,
    });
  });

  it("encodes", async () => {
    const ids = await tokenizer.encode("hello");
    expect(Object.prototype.toString.call(ids)).toBe("[object Int32Array]"); // of another realm under jest
    expect([...ids]).toEqual([0, HELLO]);
    expect([...(await tokenizer.encode("hello", { addSpecialTokens: false }))]).toEqual([HELLO]);
    expect([...(await tokenizer.encode("", { addSpecialTokens: false }))]).toEqual([]);
    expect([...(await tokenizer.encode("a</s><user>", { addSpecialTokens: false }))]).toEqual([id("a"), 1, 263]);
    const batch = await tokenizer.encodeBatch(["hello", "", "hello"], { addSpecialTokens: false });
    expect(batch.map((row) => [...row])).toEqual([[HELLO], [], [HELLO]]);
    expect(await tokenizer.encodeBatch([])).toEqual([]);
  });

  it("takes a lone surrogate for the replacement character", async () => {
    expect([...(await tokenizer.encode("\ud800"))]).toEqual([...(await tokenizer.encode("\ufffd"))]);
  });

  it("decodes", async () => {
    const ids = await tokenizer.encode("hello wörld 😀</s>");
    expect(await tokenizer.decode(ids)).toBe("hello wörld 😀");
    expect(await tokenizer.decode(ids, { skipSpecialTokens: false })).toBe("<s>hello wörld 😀</s>");
    expect(await tokenizer.decode([])).toBe("");
    expect(await tokenizer.decode([HELLO, 5000, HELLO])).toBe("hellohello");
  });

  it("streams text that never changes", async () => {
    const ids = await tokenizer.encode("hi 😀!");
    const stream = tokenizer.createDecodeStream({ skipSpecialTokens: true });
    const given: string[] = [];
    for (const token of ids) given.push(await stream.push(token));
    given.push(await stream.flush());
    expect(given.join("")).toBe("hi 😀!");
    expect(given.every((piece) => !/[\ud800-\udfff]/.test(piece.replace("😀", "")))).toBe(true);
    expect(await stream.push([id("a"), 2 + 0xf0])).toBe("a");
    expect(await stream.flush()).toBe("\ufffd");
    expect(await stream.flush()).toBe("");
  });

  it("keeps streams apart", async () => {
    const [a, b] = [tokenizer.createDecodeStream(), tokenizer.createDecodeStream()];
    expect(await a.push(2 + 0xc3)).toBe("");
    expect(await b.push(HELLO)).toBe("hello");
    expect(await a.push(2 + 0xa9)).toBe("é");
  });

  it("renders chats", async () => {
    const messages = [{ role: "user", content: "hello" }];
    expect(await tokenizer.applyChatTemplate(messages)).toBe("<s>[user]hello</s>[assistant]");
    expect(await tokenizer.applyChatTemplate(messages, { addGenerationPrompt: false })).toBe("<s>[user]hello</s>");
    expect(await tokenizer.applyChatTemplate(messages, { tools: [{ name: "a" }] })).toContain("tools:1");
    const ids = await tokenizer.encodeChat(messages, { addGenerationPrompt: false });
    expect(await tokenizer.decode(ids, { skipSpecialTokens: false })).toBe("<s>[user]hello</s>");
    expect(ids[0]).toBe(0);
    expect(ids[1]).not.toBe(0);
  });

  it("looks tokens up", async () => {
    expect(await tokenizer.idToToken(HELLO)).toBe("hello");
    expect(await tokenizer.idToToken(9999)).toBeUndefined();
    expect(await tokenizer.tokenToId("hello")).toBe(HELLO);
    expect(await tokenizer.tokenToId("nothing")).toBeUndefined();
  });

  it("refuses what it cannot take", async () => {
    await expect(tokenizer.encode(5 as unknown as string)).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
    await expect(tokenizer.decode([1.5])).rejects.toMatchObject({
      code: "ERR_ARGUMENT",
      message: "ids[0]: expected a token id, found 1.5",
    });
    await expect(tokenizer.decode([-1])).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
    await expect(tokenizer.applyChatTemplate([{ role: "robot" }])).rejects.toMatchObject({
      code: "ERR_CHAT_TEMPLATE",
      message: "chat template: robots may not begin",
    });
    await expect(tokenizer.applyChatTemplate([{} as never])).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
    await expect(tokenizer.applyChatTemplate("hi" as never)).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
    await expect(tokenizer.applyChatTemplate([{ role: "user", content: () => 1 }])).rejects.toMatchObject({
      code: "ERR_ARGUMENT",
    });
    await expect(tokenizer.applyChatTemplate([], { templateName: "rag" })).rejects.toMatchObject({
      code: "ERR_CHAT_TEMPLATE_MISSING",
      message: 'there is no chat template "rag"; there is "default"',
    });
  });
});

describe("disposal", () => {
  it("finishes calls in flight, refuses new ones, may be done twice", async () => {
    const tokenizer = await loadTokenizer(tinyByteLevel());
    const flight = tokenizer.encode("hello".repeat(10000));
    const [ids] = await Promise.all([flight, tokenizer.dispose(), tokenizer.dispose()]);
    expect(ids).toHaveLength(10001);
    await tokenizer.dispose();
    await expect(tokenizer.encode("a")).rejects.toMatchObject({ code: "ERR_DISPOSED" });
  });

  it("works with await using", async () => {
    await using tokenizer = await loadTokenizer(tinyByteLevel());
    expect(await tokenizer.decode([HELLO])).toBe("hello");
  });

  it("an idle tokenizer does not keep the process, one at work does", () => {
    const index = pathToFileURL(join(__dirname, "../../../dist/tokenizer/index.js")).href;
    const script =
      `import { loadTokenizer } from ${JSON.stringify(index)};` +
      `const tokenizer = await loadTokenizer(${JSON.stringify(tinyByteLevel())});` +
      `tokenizer.encode("hello").then((ids) => console.log(ids.join()));`;
    const out = execFileSync(process.execPath, ["--input-type=module", "-e", script], { timeout: 20000 });
    expect(out.toString().trim()).toBe(`0,${HELLO}`);
  });
});

describe("directories", () => {
  it("reads every file a tokenizer may have", async () => {
    const folder = temporaryDirectory();
    const { tokenizerJson } = tinyByteLevel();
    const write = (name: string, value: unknown): void => writeFileSync(join(folder, name), JSON.stringify(value));
    write("tokenizer.json", tokenizerJson);
    write("tokenizer_config.json", { bos_token: "<s>", chat_template: [{ name: "default", template: "old" }] });
    write("special_tokens_map.json", { eos_token: "</s>", bos_token: "ignored" });
    write("generation_config.json", { eos_token_id: [1, 263] });
    write("config.json", { eos_token_id: 7 });
    writeFileSync(join(folder, "chat_template.jinja"), "new");
    mkdirSync(join(folder, "additional_chat_templates"));
    writeFileSync(join(folder, "additional_chat_templates/tool_use.jinja"), "{{ tools | length }} tools");
    const tokenizer = await tokenizerFromFiles(folder);
    expect(tokenizer).toMatchObject({ bosTokenId: 0, eosTokenIds: [1, 263], chatTemplate: "new" });
    expect(await tokenizer?.applyChatTemplate([], { tools: [{}] })).toBe("1 tools");
    await tokenizer?.dispose();
    await copyAndCompare(folder);
  });

  async function copyAndCompare(folder: string): Promise<void> {
    const copy = temporaryDirectory();
    const tokenizerFiles = {
      tokenizerJson: join(folder, "tokenizer.json"),
      tokenizerConfig: { bos_token: "<s>" },
      generationConfig: { eos_token_id: [1, 263] },
      chatTemplate: "new",
      others: [join(folder, "special_tokens_map.json")],
    };
    await writeTokenizerFiles({ tokenizerFiles }, copy);
    const tokenizers = [await tokenizerFromFiles(copy), await tokenizerFromCheckpoint({ tokenizerFiles })];
    for (const tokenizer of tokenizers) {
      expect(tokenizer).toMatchObject({ bosTokenId: 0, eosTokenIds: [1, 263], chatTemplate: "new" });
      expect(await tokenizer?.applyChatTemplate([], { templateName: "tool_use", tools: [] })).toBe("0 tools");
      await tokenizer?.dispose();
    }
    expect(await tokenizerFromCheckpoint({ tokenizerFiles: {} })).toBeNull();
  }

  it("says what is missing", async () => {
    const folder = temporaryDirectory();
    expect(await tokenizerFromFiles(folder)).toBeNull();
    writeFileSync(join(folder, "tokenizer.model"), "");
    await expect(loadTokenizer({ directory: folder })).rejects.toMatchObject({
      code: "ERR_TOKENIZER_MISSING",
      message: `${folder}: no tokenizer.json; tokenizer.model alone cannot be read: save it with transformers`,
    });
    await expect(loadTokenizer({ directory: join(folder, "none") })).rejects.toMatchObject({
      code: "ERR_TOKENIZER_MISSING",
    });
  });
});

describe("bad files", () => {
  const change = (part: Record<string, unknown>): object => ({ ...tinyByteLevel().tokenizerJson, ...part });
  const model = tinyByteLevel().tokenizerJson["model"] as object;

  it.each([
    ["no model", change({ model: undefined }), "MALFORMED", /model: expected an object, found undefined/],
    ["no vocabulary", change({ model: { type: "BPE", merges: [] } }), "MALFORMED", /model\.vocab/],
    ["an id that is text", change({ model: { ...model, vocab: { a: "1" } } }), "MALFORMED", /vocab\["a"\].*found "1"/],
    ["an id beyond reason", change({ model: { ...model, vocab: { a: 1e12 } } }), "MALFORMED", /found 1000000000000/],
    ["no merges", change({ model: { ...model, merges: null } }), "MALFORMED", /model\.merges/],
    ["a merge of one", change({ model: { ...model, merges: ["ab"] } }), "MALFORMED", /model\.merges/],
    ["added tokens that are none", change({ added_tokens: [{ id: 1 }] }), "MALFORMED", /added_tokens\[0\]\.content/],
    ["an unknown model", change({ model: { type: "Neural", vocab: {} } }), "UNSUPPORTED", /model\.type.*"Neural"/],
    ["an unknown normalizer", change({ normalizer: { type: "Nmt" } }), "UNSUPPORTED", /Nmt/],
    [
      "a pattern of no kind",
      change({ normalizer: { type: "Sequence", normalizers: [{ type: "Replace", pattern: "a", content: "b" }] } }),
      "MALFORMED",
      /normalizer\[0\]\.pattern: expected \{String\} or \{Regex\}, found "a"/,
    ],
    ["an unknown decoder", change({ decoder: { type: "CTC" } }), "UNSUPPORTED", /"CTC"/],
    [
      "a split that would be tokenized wrongly",
      change({ pre_tokenizer: { type: "Split", pattern: { Regex: "a+" }, behavior: "MergedWithNext" } }),
      "UNSUPPORTED",
      /MergedWithNext/,
    ],
  ])("%s", async (_name, tokenizerJson, code, message) => {
    const error = await loadTokenizer({ tokenizerJson }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ message: expect.stringMatching(message) });
    expect((error as { code: string }).code).toMatch(new RegExp(`^ERR_TOKENIZER_(${code})$`));
  });

  it("names a file that is not JSON", async () => {
    const path = join(temporaryDirectory(), "tokenizer.json");
    await expect(loadTokenizer({ tokenizerJson: path })).rejects.toMatchObject({ code: "ERR_TOKENIZER_MISSING" });
    writeFileSync(path, "{");
    await expect(loadTokenizer({ tokenizerJson: path })).rejects.toMatchObject({
      code: "ERR_TOKENIZER_MALFORMED",
      message: expect.stringContaining(`${path}: not JSON`),
    });
  });
});
