/** What every verb promises: exit codes, --json alone on standard output, errors that name what is wrong. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeProgram } from "../../../src/cli/program.js";
import { engineOf, tinyLlama } from "../engine/fixtures.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier, main } from "./run.js";

const directory = temporaryDirectory();
const randomLlama = join(__dirname, "../../../bench/random-llama.mjs");
const env = { ESPALIER_CACHE: join(directory, "cache") };
const tiny = tinyLlama("plain-v4");
const errorOf = (text: string) =>
  (JSON.parse(text) as { error: { code: string; message: string; hint: string } }).error;

describe("usage", () => {
  it("has an example in --help, for the program and for every verb", async () => {
    const { status, stdout } = await espalier(["--help"]);
    expect([status, stdout]).toEqual([0, expect.stringContaining("Example:\n  ")]);
    for (const verb of makeProgram().commands) {
      let help = "";
      verb.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      expect(help).toContain("Example:\n  ");
      expect(help).not.toMatch(/default: (\[\]|\{\})/);
    }
  });

  it.each([
    [["generate"], "missing required argument 'model'"],
    [["nosuch"], "unknown command 'nosuch'"],
    [["logits", "x", "--ids", "1,,2"], "argument '1,,2' is invalid"],
  ])("%p exits 2, with one JSON document", async (args, message) => {
    const { status, stdout, stderr } = await espalier([...args, "--json"]);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/^espalier: ERR_USAGE: /)]);
    expect(errorOf(stdout)).toMatchObject({ code: "ERR_USAGE", message: expect.stringContaining(message) });
    expect(errorOf(stdout).message).not.toContain("error:");
  });

  it("treats what only the verb can find as wrong usage too", async () => {
    const engine = await engineOf("plain-v4");
    for (const args of [
      ["generate", engine],
      ["generate", engine, "a", "--ids", "1"],
      ["evaluate", engine],
    ]) {
      const { status, stdout } = await espalier([...args, "--json"]);
      expect([status, errorOf(stdout).code]).toEqual([2, "ERR_USAGE"]);
    }
    const { status, stderr } = await espalier(["generate", engine, "--ids", "1", "--top-p", "2"]);
    expect([status, stderr]).toEqual([2, expect.stringContaining("ERR_ARGUMENT: topP: ")]);
    const system = await espalier(["generate", engine, "a", "--system", "b"]);
    expect([system.status, system.stderr]).toEqual([2, expect.stringContaining("--system: expected a model with")]);
  });
});

describe("errors", () => {
  it("tell an engine from a model", async () => {
    const { status, stderr } = await espalier(["build", await engineOf("plain-v4"), "--out", join(directory, "x")]);
    expect(status).toBe(1);
    expect(stderr).toContain("ERR_MODEL_NOT_FOUND");
    expect(stderr).toContain("it is an engine, already built");
  });

  it("say when weights give NaN, instead of printing null", async () => {
    const damaged = join(directory, "damaged");
    cpSync(await engineOf("plain-v4"), damaged, { recursive: true });
    writeFileSync(join(damaged, "weights.bin"), readFileSync(join(damaged, "weights.bin")).fill(0xff));
    const { status, stdout } = await espalier(["logits", damaged, "--ids", "1,2", "--json"]);
    expect([status, errorOf(stdout).code]).toEqual([1, "ERR_NUMERIC"]);
  });

  it("of standard output end the command without a stack", async () => {
    if (!existsSync("/dev/full")) return console.log("skipped: there is no /dev/full here");
    const command = `"${process.execPath}" "${main}" inspect "${tiny}" > /dev/full`;
    const { status, stderr } = spawnSync("/bin/sh", ["-c", command], { encoding: "utf8" });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^espalier: ERR_DISK_FULL: standard output: .*\n$/)]);
  });
});

describe("ESPALIER_THREADS and ESPALIER_ISA", () => {
  it("are refused by engines and shown by doctor when they are wrong", async () => {
    const engine = await engineOf("plain-v4");
    for (const [bad, code] of [
      [{ ESPALIER_THREADS: "abc" }, "ERR_ARGUMENT"],
      [{ ESPALIER_ISA: "sse9" }, "ERR_ISA"],
    ] as const) {
      const [name, value] = Object.entries(bad)[0] as [string, string];
      for (const args of [
        ["logits", engine, "--ids", "1"],
        ["bench", engine, "--isl", "2", "--osl", "1"],
      ]) {
        const { stdout, status } = await espalier([...args, "--json"], { env: { [name]: value } });
        expect(status).not.toBe(0);
        expect(errorOf(stdout)).toMatchObject({
          code,
          message: expect.stringMatching(`^${name}: expected .*"${value}"`),
        });
      }
      const { stdout, status } = await espalier(["doctor"], { env: { [name]: value } });
      expect([status, stdout]).toEqual([0, expect.stringMatching(`cpu +not usable: ${name}: expected`)]);
    }
  }, 30_000);
});

describe("logits", () => {
  it("prints JSON that holds every row", async () => {
    const { status, stdout } = await espalier(["logits", tiny, "--ids", "1,2,3", "--all", "--json"], { env });
    const { logits } = JSON.parse(stdout) as { logits: number[][] };
    expect([status, logits.length, logits.map((row) => row.length)]).toEqual([0, 3, [61, 61, 61]]);
  });
});

describe("bench", () => {
  const cell = ["--isl", "4", "--osl", "2", "--repeats", "1", "--warmup", "0"];

  it("leaves the page and its data, and report makes the page again", async () => {
    const page = join(directory, "new", "folder", "page.html");
    const { status } = await espalier(["bench", await engineOf("plain-v4"), ...cell, "--html", page]);
    expect(status).toBe(0);
    const again = join(directory, "again.html");
    const report = await espalier(["report", page.replace(".html", ".json"), "--out", again]);
    expect([report.status, report.stderr]).toEqual([0, ""]);
    expect(readFileSync(again, "utf8")).toBe(readFileSync(page, "utf8"));
  }, 30_000);

  it("looks before it measures whether the page can be written", async () => {
    const page = join(await engineOf("plain-v4"), "engine.json", "page.html");
    const { status, stderr } = await espalier(["bench", await engineOf("plain-v4"), ...cell, "--html", page]);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^espalier: ERR_FILE_WRITE: .*is not a directory/)]);
  });

  it("has no options that it would ignore", async () => {
    const { status } = await espalier(["bench", await engineOf("plain-v4"), "--context", "4"]);
    expect(status).toBe(2);
  });
});

describe("the engine cache", () => {
  it("builds again what it cannot read", async () => {
    const own = join(directory, "own-cache");
    const run = () => espalier(["logits", tiny, "--ids", "1"], { env: { ESPALIER_CACHE: own } });
    const first = await run();
    const [name] = readdirSync(join(own, "engines"));
    writeFileSync(join(own, "engines", name as string, "engine.json"), '{"engineVersion": 0}');
    const second = await run();
    expect([second.status, second.stdout]).toEqual([0, first.stdout]);
    expect(second.stderr).toContain("building engine");
  });
});

describe("build", () => {
  it("goes on when nobody reads its progress", async () => {
    const out = join(directory, "deaf");
    const { status } = await espalier(["build", tiny, "--out", out, "--weights", "f32"], { deafStderr: true });
    expect([status, existsSync(join(out, "engine.json"))]).toEqual([0, true]);
  });

  it("refuses --weights for what is packed already", async () => {
    const engine = await engineOf("plain-v4");
    const { status, stdout } = await espalier(["logits", engine, "--ids", "1", "--weights", "int8", "--json"]);
    expect([status, errorOf(stdout)]).toEqual([
      2,
      expect.objectContaining({ code: "ERR_ARGUMENT", message: expect.stringContaining('found "int8"') as string }),
    ]);
  });

  it("ends with 130, one JSON document and nothing on disk when interrupted", async () => {
    // 60 M parameters: packing them outlasts the way of a signal many times.
    const model = join(temporaryDirectory(), "model");
    const sizes = ["--hidden", "1024", "--layers", "4", "--heads", "8", "--kv-heads", "4", "--ffn", "2816"];
    execFileSync(process.execPath, [randomLlama, model, ...sizes, "--vocab", "4096"]);
    const out = join(temporaryDirectory(), "engine");
    const built = await espalier(["build", model, "--out", out, "--json"], { interruptAt: "packing" });
    expect([built.status, errorOf(built.stdout).code]).toEqual([130, "ERR_ABORTED"]);
    expect(readdirSync(join(out, ".."))).toEqual([]);
  });
});
