/** The bundled teacher writes training data, which goes into tokenize and train as it is. */
import { spawn } from "node:child_process";
import { appendFileSync, cpSync, existsSync, readFileSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tokenizeCorpus } from "../../../src/data/index.js";
import { buildEngine, Engine } from "../../../src/engine/index.js";
import { synthesize, type SynthesizeOptions, type SynthesizeReport } from "../../../src/synthesize/index.js";
import { journalPath } from "../../../src/synthesize/journal.js";
import { train } from "../../../src/train/index.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier, main } from "../cli/run.js";
import { engineOf } from "../engine/fixtures.js";

const root = temporaryDirectory();
const bundled = join(__dirname, "../../../models/teacher");
const chatting = join(root, "chatting");
const place = (name: string): string => join(root, name);
const linesOf = <T>(path: string): T[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as T);
const short = { maxTokens: 24, minTokens: 8 } as const;
let engine: Engine;
let chatEngine: Engine;

beforeAll(async () => {
  await buildEngine(bundled, place("engine"), { weights: "f32" });
  engine = await Engine.load(place("engine"), { contextTokens: 128, threads: 2, maxSequences: 8 });
  cpSync(bundled, chatting, { recursive: true });
  const path = join(chatting, "tokenizer_config.json");
  const config = JSON.parse(readFileSync(path, "utf8")) as object;
  const template =
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
  writeFileSync(path, JSON.stringify({ ...config, chat_template: template }));
  await buildEngine(chatting, place("chat engine"), { weights: "int8" });
  chatEngine = await Engine.load(place("chat engine"), { contextTokens: 128, threads: 2 });
});

afterAll(async () => {
  await engine.dispose();
  await chatEngine.dispose();
});

const write = (name: string, change: Partial<SynthesizeOptions> = {}): Promise<SynthesizeReport> =>
  synthesize(engine, { ...short, count: 12, out: place(name), ...change });

describe("texts", () => {
  it("are the same for a seed, whatever is worked on together", async () => {
    const report = await write("texts.jsonl");
    expect(report).toMatchObject({ count: 12, format: "text", resumedAttempts: 0 });
    const texts = linesOf<{ text: string }>(place("texts.jsonl"));
    expect(texts).toHaveLength(12);
    expect(new Set(texts.map(({ text }) => text)).size).toBe(12);
    const dropped = Object.values(report.dropped).reduce((sum, times) => sum + times, 0);
    expect(report.attempts).toBe(12 + dropped);
    await write("alone.jsonl", { inFlight: 1 });
    expect(readFileSync(place("alone.jsonl"), "utf8")).toBe(readFileSync(place("texts.jsonl"), "utf8"));
    await write("other.jsonl", { seed: 5 });
    expect(readFileSync(place("other.jsonl"), "utf8")).not.toBe(readFileSync(place("texts.jsonl"), "utf8"));
  });

  it("go on from seeds, a line each in turn", async () => {
    writeFileSync(place("seeds.txt"), "The white whale\n\n  Fellow citizens of the Senate\r\n");
    await write("seeded.jsonl", { seeds: place("seeds.txt"), count: 6 });
    const texts = linesOf<{ text: string }>(place("seeded.jsonl")).map(({ text }) => text);
    const begins = texts.map((text) => /^(The white whale|Fellow citizens of the Senate)/.exec(text)?.[1]);
    expect(new Set(begins)).toEqual(new Set(["The white whale", "Fellow citizens of the Senate"]));
    for (const text of texts) expect(text.length).toBeGreaterThan(30);
    writeFileSync(place("prompts.jsonl"), '{"prompt": "The white whale"}\n{"text": "Fellow citizens of the Senate"}\n');
    await write("prompted.jsonl", { prompts: place("prompts.jsonl"), count: 6 });
    expect(readFileSync(place("prompted.jsonl"), "utf8")).toBe(readFileSync(place("seeded.jsonl"), "utf8"));
  });

  it("train a student, through tokenize", async () => {
    const data = place("tokens");
    await tokenizeCorpus({ inputs: [place("texts.jsonl")], tokenizer: bundled, out: data });
    const run = { data, steps: 2, globalBatch: 2, seqLength: 16, limitValBatches: 0, threads: 2, split: "100,0,0" };
    const config = {
      ...(JSON.parse(readFileSync(join(bundled, "config.json"), "utf8")) as object),
      num_hidden_layers: 1,
    };
    const { steps, loss } = await train({ config, tokenizer: bundled, ...run, out: place("student") });
    expect({ steps, finite: Number.isFinite(loss) }).toEqual({ steps: 2, finite: true });
  });
});

describe("answers", () => {
  it("train a student as they are", async () => {
    writeFileSync(place("questions.txt"), "What is a whale?\nWho is the captain?\nWhat does the Congress do?\n");
    const options = { ...short, count: 6, format: "sft", unfinished: "keep", seeds: place("questions.txt") } as const;
    await synthesize(chatEngine, { ...options, out: place("answers.jsonl") });
    const answers = linesOf<{ messages: { role: string; content: string }[] }>(place("answers.jsonl"));
    expect(answers.map(({ messages }) => messages.map(({ role }) => role))).toEqual(
      Array.from({ length: 6 }, () => ["user", "assistant"]),
    );
    for (const { messages } of answers) expect(messages[0]?.content).toMatch(/\?$/);
    const run = { steps: 2, globalBatch: 2, seqLength: 64, limitValBatches: 0, threads: 2, split: "100,0,0" };
    const { loss } = await train({ model: chatting, data: place("answers.jsonl"), ...run, out: place("tuned") });
    expect(Number.isFinite(loss)).toBe(true);

    const system = { role: "system", content: "Be short." };
    const messages = [system, { role: "user", content: "What is a whale?" }];
    writeFileSync(place("chats.jsonl"), `${JSON.stringify({ messages })}\n`);
    const more = { ...short, count: 2, format: "sft", unfinished: "keep", prompts: place("chats.jsonl") } as const;
    await synthesize(chatEngine, { ...more, out: place("chat answers.jsonl") });
    for (const { messages: found } of linesOf<{ messages: object[] }>(place("chat answers.jsonl")))
      expect(found).toEqual([...messages, expect.objectContaining({ role: "assistant" })]);
  });

  it("are dropped where they do not end, and need a chat template", async () => {
    const options = { ...short, count: 3, maxAttempts: 5, format: "sft", seeds: place("questions.txt") } as const;
    await expect(synthesize(chatEngine, { ...options, out: place("none.jsonl") })).rejects.toThrow(
      coded("ERR_SYNTHESIZE", "expected 3 texts, 0 of 5 passed; dropped: ", "unfinished"),
    );
    await expect(synthesize(engine, { ...options, out: place("x") })).rejects.toThrow(
      coded("ERR_CHAT_TEMPLATE_MISSING"),
    );
  });
});

describe("a call that is stopped", () => {
  const again = async (name: string, change: Partial<SynthesizeOptions> = {}): Promise<SynthesizeReport> => {
    const report = await write(name, change);
    expect(readFileSync(place(name), "utf8")).toBe(readFileSync(place("texts.jsonl"), "utf8"));
    expect(existsSync(journalPath(place(name)))).toBe(false);
    return report;
  };

  it.each([
    ["after a signal", () => {}],
    ["with a torn last line", (journal: string): void => appendFileSync(journal, '{"line":{"te')],
    ["with a line cut short", (journal: string): void => truncateSync(journal, readFileSync(journal).length - 3)],
    ["with a line of nonsense", (journal: string): void => appendFileSync(journal, '{"dropped":"boredom"}\n')],
  ])("goes on %s to the same lines", async (what, damage) => {
    const name = `stopped ${what}.jsonl`;
    const stop = new AbortController();
    const onProgress = (event: { kind: string; kept?: number }): unknown => event.kept === 5 && stop.abort();
    const call = { ...short, count: 12, out: place(name) };
    await expect(synthesize(engine, call, { signal: stop.signal, onProgress })).rejects.toThrow(coded("ERR_ABORTED"));
    expect(existsSync(place(name))).toBe(false);
    damage(journalPath(place(name)));
    const { resumedAttempts } = await again(name);
    expect(resumedAttempts).toBeGreaterThanOrEqual(4);
  });

  it("begins anew with other options", async () => {
    const stop = new AbortController();
    const call = { ...short, count: 12, out: place("changed.jsonl"), seed: 9 };
    const onProgress = (): void => stop.abort();
    await expect(synthesize(engine, call, { signal: stop.signal, onProgress })).rejects.toThrow(coded("ERR_ABORTED"));
    expect((await again("changed.jsonl")).resumedAttempts).toBe(0);
  });

  it("that had too few attempts goes on with more", async () => {
    await expect(write("few.jsonl", { maxAttempts: 4 })).rejects.toThrow(coded("ERR_SYNTHESIZE", "expected 12 texts"));
    expect((await again("few.jsonl")).resumedAttempts).toBe(4);
  });

  it("goes on after SIGKILL, on the command line", async () => {
    const out = place("killed.jsonl");
    const numbers = ["--count", "60", "--max-tokens", "24", "--min-tokens", "8", "--batch", "4", "--threads", "1"];
    const argsOf = (path: string): string[] => ["synthesize", place("engine"), ...numbers, "--out", path, "--json"];
    const signal = await new Promise((resolve) => {
      const child = spawn(process.execPath, [main, ...argsOf(out)]);
      child.stderr.setEncoding("utf8").on("data", (text: string) => text.includes("writing") && child.kill("SIGKILL"));
      child.on("close", (_code, ended) => resolve(ended));
    });
    expect(signal).toBe("SIGKILL");
    expect(existsSync(out)).toBe(false);
    const { status, stdout } = await espalier(argsOf(out));
    expect({ status, count: (JSON.parse(stdout) as SynthesizeReport).count }).toEqual({ status: 0, count: 60 });
    const whole = await espalier(argsOf(place("undisturbed.jsonl")));
    expect(whole.status).toBe(0);
    expect(readFileSync(out, "utf8")).toBe(readFileSync(place("undisturbed.jsonl"), "utf8"));
    expect(readdirSync(root).filter((name) => name.startsWith("."))).toEqual(
      readdirSync(root).filter((name) => name.startsWith(".none.jsonl")),
    );
  });
});

describe("bad input", () => {
  it("is refused, and leaves nothing", async () => {
    await expect(write("texts.jsonl")).rejects.toThrow(coded("ERR_OUTPUT_EXISTS"));
    await expect(write("bad", { seeds: place("nothing.txt") })).rejects.toThrow(coded("ERR_FILE_READ", "nothing.txt"));
    await expect(write("bad", { seeds: "/dev/zero" })).rejects.toThrow(coded("ERR_FILE_READ", "expected a file"));
    writeFileSync(place("empty.txt"), "\n \n");
    await expect(write("bad", { seeds: place("empty.txt") })).rejects.toThrow(
      coded("ERR_DATA_EMPTY", "expected a seed"),
    );
    for (const [line, message] of [
      ["{", "not JSON"],
      ["[]", "expected an object"],
      ["3", "expected an object"],
      ['{"prompt": 3}', "expected text in"],
      ['{"messages": []}', "expected format sft"],
    ] as const) {
      writeFileSync(place("bad.jsonl"), `{"prompt": "fine"}\n${line}\n`);
      await expect(write("bad", { prompts: place("bad.jsonl") })).rejects.toThrow(
        coded("ERR_DATA_INPUT", "bad.jsonl:2", message),
      );
    }
    for (const messages of [[], [3], [{ role: "user" }], [{ role: "assistant", content: "x" }]]) {
      writeFileSync(place("bad.jsonl"), `${JSON.stringify({ messages })}\n`);
      const call = { ...short, count: 1, format: "sft", prompts: place("bad.jsonl"), out: place("bad") } as const;
      await expect(synthesize(chatEngine, call)).rejects.toThrow(coded("ERR_DATA_INPUT", "bad.jsonl:1: messages"));
    }
    await using mute = await Engine.load(await engineOf("plain-v5"));
    await expect(synthesize(mute, { count: 1, out: place("bad") })).rejects.toThrow(coded("ERR_TOKENIZER_MISSING"));
    expect(existsSync(place("bad"))).toBe(false);
  });

  it("drops prompts that leave no room", async () => {
    writeFileSync(place("long.txt"), `${"the whale and the captain ".repeat(60)}\nThe whale\n`);
    const { dropped } = await write("roomy.jsonl", { seeds: place("long.txt"), count: 2 });
    expect(dropped.prompt).toBeGreaterThanOrEqual(1);
  });

  it("of the same text again and again ends with what was dropped", async () => {
    const greedy = { temperature: 0, maxRepetition: 1, count: 2, maxAttempts: 6 };
    await expect(write("greedy.jsonl", greedy)).rejects.toThrow(
      coded("ERR_SYNTHESIZE", "expected 2 texts, 1 of 6 passed; dropped: duplicate 5"),
    );
  });
});
