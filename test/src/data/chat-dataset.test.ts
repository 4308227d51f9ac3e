/** Conversations become rows whose labels are the assistant's words. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { openBatchStream, openChatDataset, type ChatDatasetOptions } from "../../../src/data/index.js";
import { packRows } from "../../../src/data/chat/pack.js";
import { loadTokenizer, type ChatMessage } from "../../../src/tokenizer/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { tinyByteLevel, tinySentencePiece } from "../tokenizer/tiny-tokenizer.js";

const tokenizer = tinyByteLevel();
const say = (role: string, content: string): ChatMessage => ({ role, content });
const chat = [say("user", "hi"), say("assistant", "hello"), say("user", "more?"), say("assistant", "no")];

function file(rows: readonly unknown[], name = "chat.jsonl"): string {
  const path = join(temporaryDirectory(), name);
  const text = rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n");
  writeFileSync(path, name.endsWith(".gz") ? gzipSync(text) : text);
  return path;
}

const open = (rows: readonly unknown[], options: Partial<ChatDatasetOptions> = {}) =>
  openChatDataset({ inputs: [file(rows)], tokenizer, sequenceLength: 64, split: "1", ...options });

interface LabelFixture {
  template: string;
  rows: { messages: ChatMessage[]; ids: number[]; mask: number[] }[];
}

/** The only row's text, and the text of its labels with "_" where none counts. */
async function textsOf(rows: readonly unknown[], options: Partial<ChatDatasetOptions> = {}) {
  await using splits = await open(rows, options);
  await using loaded = await loadTokenizer(options.tokenizer ?? tokenizer);
  const { tokens, labels, documentStarts } = await splits.train.sample(0);
  const spell = async (ids: Int32Array): Promise<string> => {
    const spellOne = async (id: number): Promise<string> =>
      id === -100 ? "_" : await loaded.decode([id], { skipSpecialTokens: false });
    return (await Promise.all([...ids].map(spellOne))).join("|");
  };
  return {
    tokens: await spell(tokens),
    labels: await spell(labels),
    starts: [...documentStarts!],
    length: splits.train.length,
  };
}

const split = (text: string): string => [...text].join("|");

describe("labels", () => {
  it("are the assistant's words and what ends them", async () => {
    const { tokens, labels } = await textsOf([{ messages: chat }], { sequenceLength: 48 });
    const shown = [
      "<s>",
      split("[user]hi"),
      "</s>",
      split("[assistant]"),
      "hello",
      "</s>",
      split("[user]more?"),
      "</s>",
      split("[assistant]no"),
    ];
    expect(tokens.startsWith(shown.join("|"))).toBe(true);
    const expected = [
      ...Array<string>(20).fill("_"),
      "hello",
      "</s>",
      ...Array<string>(23).fill("_"),
      "n",
      "o",
      "</s>",
    ];
    expect(labels.split("|")).toEqual(expected.slice(0, 48));
  });

  it("are those of transformers' assistant mask", async () => {
    const path = join(__dirname, "../../fixtures/data/chat_labels.json"); // test/oracles/chat_labels.py
    const { template, rows } = JSON.parse(readFileSync(path, "utf8")) as LabelFixture;
    const other = { ...tokenizer, tokenizerConfig: { ...tokenizer.tokenizerConfig, chat_template: template } };
    for (const { messages, ids, mask } of rows) {
      await using splits = await open([{ messages }], { tokenizer: other, sequenceLength: ids.length - 1 });
      const { tokens, labels } = await splits.train.sample(0);
      expect([...tokens]).toEqual(ids.slice(0, -1));
      expect([...labels]).toEqual(ids.map((id, i) => (mask[i] === 1 ? id : -100)).slice(1));
    }
  });

  it("leave out what a template writes after the end", async () => {
    const template =
      "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    const other = { ...tokenizer, tokenizerConfig: { ...tokenizer.tokenizerConfig, chat_template: template } };
    const { labels } = await textsOf([{ messages: chat.slice(0, 2) }], { tokenizer: other });
    expect(labels.replaceAll("_|", "").replaceAll("|_", "")).toBe("hello|</s>");
  });

  it("are the last answer's where a template rewrites earlier ones", async () => {
    const template =
      "{% for m in messages %}[{{ m.role }}]{% if m.role != 'assistant' or loop.last %}{{ m.content }}{% endif %}{% endfor %}" +
      "{% if add_generation_prompt %}[assistant]{% endif %}";
    const other = { ...tokenizer, tokenizerConfig: { ...tokenizer.tokenizerConfig, chat_template: template } };
    const { labels } = await textsOf([{ messages: chat }], { tokenizer: other });
    expect(labels.replaceAll("_|", "").replaceAll("|_", "")).toBe("n|o");
  });

  it("leave out the prompt that some templates always write", async () => {
    const template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}[assistant]";
    const other = { ...tokenizer, tokenizerConfig: { ...tokenizer.tokenizerConfig, chat_template: template } };
    const { tokens, labels } = await textsOf([{ messages: chat }], { tokenizer: other });
    expect(labels.replaceAll("_|", "").replaceAll("|_", "")).toBe("hello|\n|n|o|\n");
    expect(tokens.match(/\[/g)).toHaveLength(4);
  });

  it("of a bare completion end with an end of sequence, after a beginning", async () => {
    const { tokens, labels } = await textsOf([{ prompt: "a", completion: "bc" }], { sequenceLength: 6 });
    expect([tokens, labels]).toEqual(["<s>|a|b|c|</s>|</s>", "_|b|c|</s>|_|_"]);
  });

  it("are the completion's where both are messages", async () => {
    const { tokens, labels } = await textsOf([{ prompt: chat.slice(0, 3), completion: chat.slice(3) }]);
    expect(labels.replaceAll("_|", "").replaceAll("|_", "")).toBe("n|o|</s>");
    expect(tokens).toBe((await textsOf([{ messages: chat }])).tokens);
  });

  it("begin where the ids of the prompt alone end", async () => {
    // The whole is "▁a ▁ab"; an answer encoded by itself would begin with a second space.
    const sentencePiece = { gguf: tinySentencePiece() };
    const row = { prompt: "a", completion: " ab" };
    const { tokens, labels } = await textsOf([row], { tokenizer: sentencePiece, sequenceLength: 3 });
    await using splits = await open([row], { tokenizer: sentencePiece, sequenceLength: 3 });
    expect([...(await splits.train.sample(0)).tokens]).toEqual([1, 263, 265]);
    expect([tokens.split("|").length, labels.split("|")[0], labels.split("|")[2]]).toEqual([3, "_", "</s>"]);
  });

  it("begin at a seam of their own where a token would span it", async () => {
    const { tokens } = await textsOf([{ prompt: "hell", completion: "o" }], { sequenceLength: 3 });
    expect(tokens).toBe("<s>|hell|o");
  });

  it("may be a call of tools without words", async () => {
    const template =
      "{% for m in messages %}[{{ m.role }}]{{ m.content or m.tool_calls[0].name }}{% endfor %}" +
      "{% if add_generation_prompt %}[assistant]{% endif %}";
    const other = { ...tokenizer, tokenizerConfig: { ...tokenizer.tokenizerConfig, chat_template: template } };
    const call = { role: "assistant", content: null, tool_calls: [{ name: "f" }] };
    const { labels } = await textsOf([{ messages: [chat[0], call] }], { tokenizer: other });
    expect(labels.replaceAll("_|", "").replaceAll("|_", "")).toBe("f");
  });

  it("see the tools", async () => {
    const template = "{{ tools | length if tools else 0 }}{% for m in messages %}{{ m.content }}{% endfor %}";
    const other = { ...tokenizer, tokenizerConfig: { ...tokenizer.tokenizerConfig, chat_template: template } };
    const row = { messages: [say("assistant", "x")], tools: [{}, {}, {}] };
    expect((await textsOf([row], { tokenizer: other })).tokens[0]).toBe("3");
  });
});

describe("rows", () => {
  const pair = (n: number): object => ({ prompt: "p", completion: "c".repeat(n) });

  it("hold several conversations, each by itself, and padding", async () => {
    const { tokens, labels, starts, length } = await textsOf([pair(2), pair(2)], { sequenceLength: 10 });
    expect(length).toBe(1);
    expect(tokens).toBe("<s>|p|c|c|<s>|p|c|c|</s>|</s>");
    expect(labels).toBe("_|c|c|</s>|_|c|c|</s>|_|_");
    expect(starts).toEqual([0, 0, 0, 0, 4, 4, 4, 4, 8, 8]);
  });

  it("cut what is too long, and leave out what has nothing to learn then", async () => {
    const long = { prompt: "p".repeat(90), completion: "c" };
    await using splits = await open([pair(70), long, pair(1)]);
    expect(splits).toMatchObject({ truncated: 1, dropped: 1 });
    expect(splits.train.length).toBe(2);
    const batch = await splits.train.batch(0, 2);
    expect(batch.labels.filter((label) => label !== -100)).toHaveLength(63 + 2);
  });

  it("come again in another order, the same for the same seed", async () => {
    const rows = Array.from({ length: 30 }, (_, i) => pair(10 + i));
    const contents = async (options: Partial<ChatDatasetOptions>): Promise<string> => {
      await using splits = await open(rows, { split: "80,20", samples: { train: 40 }, ...options });
      expect(splits.train.length).toBeGreaterThanOrEqual(40);
      expect(splits.validation!.length).toBeGreaterThanOrEqual(1);
      const stream = openBatchStream(splits.train, { sequences: 20 });
      return `${splits.fingerprint} ${(await stream.next()).tokens.join()} ${(await stream.next()).tokens.join()}`;
    };
    const first = await contents({});
    expect(await contents({})).toBe(first);
    expect(await contents({ inputs: [file(rows, "same.jsonl.gz")] })).toBe(first);
    expect(await contents({ seed: 7 })).not.toBe(first);
  });

  it("tell files with the same tokens but other conversations apart", async () => {
    const bare = { ...tokenizer, tokenizerConfig: { chat_template: "{{ messages[0].content }}" } };
    const row = (content: string): object => ({ messages: [say("assistant", content)] });
    const fingerprint = async (rows: readonly object[]): Promise<string> => {
      await using splits = await open(rows, { tokenizer: bare });
      return splits.fingerprint;
    };
    expect(await fingerprint([row("ab"), row("c")])).not.toBe(await fingerprint([row("a"), row("bc")]));
  });

  it("are numbered and hashed the same wherever a file is cut into chunks", async () => {
    const many = Array.from({ length: 60_000 }, (_, i) => ({ prompt: `question ${i}`, completion: "no" }));
    const rows = [...many, "{"]; // more than one chunk
    await using splits = await open(rows, { maxBadLines: 1 });
    await using zipped = await open(rows, { maxBadLines: 1, inputs: [file(rows, "many.jsonl.gz")] });
    expect(splits.badLineExamples[0]).toMatch(/:60001: not JSON/);
    expect(zipped.fingerprint).toBe(splits.fingerprint);
  });

  it("lose no conversation and no room", () => {
    const places = Int32Array.from({ length: 500 }, (_, i) => 1 + ((i * 7919) % 100));
    const rows = packRows({ places, sequenceLength: 100, seed: 3, samples: null });
    expect(rows.flat().sort((a, b) => a - b)).toEqual([...places.keys()]);
    const sum = (row: readonly number[]): number => row.reduce((total, i) => total + places[i]!, 0);
    expect(Math.max(...rows.map(sum))).toBeLessThanOrEqual(100);
    expect(rows.length).toBeLessThan(1.1 * (sum([...places.keys()]) / 100));
  });
});

describe("refuses", () => {
  const good = { messages: chat };
  it.each<[string, unknown[], Partial<ChatDatasetOptions>, string, RegExp]>([
    ["no JSON", [good, "{"], {}, "ERR_DATA_CHAT", /chat\.jsonl:2: not JSON/],
    ["no conversation", [{ text: "a" }], {}, "ERR_DATA_CHAT", /:1: expected "messages", or "prompt"/],
    ["no object", [[1]], {}, "ERR_DATA_CHAT", /:1: expected an object/],
    ["a message without a role", [{ messages: [{}] }], {}, "ERR_DATA_CHAT", /messages\[0\]: expected an object with/],
    [
      "a message without words",
      [{ messages: [{ role: "user" }, chat[1]] }],
      {},
      "ERR_DATA_CHAT",
      /\[0\]: expected a string "content", found undefined/,
    ],
    ["no answer", [{ messages: [say("user", "a")] }], {}, "ERR_DATA_CHAT", /expected an assistant's answer/],
    [
      "what the template refuses",
      [{ messages: [say("robot", "a"), chat[1]] }],
      {},
      "ERR_DATA_CHAT",
      /robots may not begin/,
    ],
    ["an empty file", [], {}, "ERR_DATA_EMPTY", /of 0 conversations leaves none/],
    ["a split that leaves nothing", [good], { split: "0,1" }, "ERR_DATA_EMPTY", /leaves none for training/],
    [
      "a model with a smaller vocabulary",
      [good],
      { vocabSize: 200 },
      "ERR_DATA_VOCABULARY",
      /264 tokens, the model 200/,
    ],
    ["a length of 0", [good], { sequenceLength: 0 }, "ERR_ARGUMENT", /sequenceLength/],
    [
      "a tokenizer without a template",
      [good],
      { tokenizer: { tokenizerJson: tokenizer.tokenizerJson } },
      "ERR_CHAT_TEMPLATE_MISSING",
      /lines of messages are rendered by a chat template: the tokenizer has no chat template/,
    ],
  ])("%s", async (_name, rows, options, code, message) => {
    await expect(open(rows, options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("more bad lines than are allowed", async () => {
    await using splits = await open([good, "{", "[]"], { maxBadLines: 2 });
    expect(splits.train.length).toBe(1);
    expect(splits.badLines).toBe(2);
    expect(splits.badLineExamples).toEqual([
      expect.stringMatching(/chat\.jsonl:2: not JSON/),
      expect.stringMatching(/chat\.jsonl:3: expected an object/),
    ]);
    await expect(open([good, "{", "[]"], { maxBadLines: 1 })).rejects.toMatchObject({
      code: "ERR_DATA_CHAT",
      message: expect.stringMatching(/:2: not JSON.*\(2 bad lines, 1 are allowed; .*:3: expected an object/),
    });
    const text = join(temporaryDirectory(), "a.txt");
    writeFileSync(text, "x");
    await expect(open([], { inputs: [text] })).rejects.toMatchObject({ code: "ERR_DATA_INPUT" });
  });
});
