/** Wrong options of Engine.load and generate: coded errors that name the option, never a TypeError or a wrapped id. */
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Engine, type EngineLoadOptions, type GenerateOptions } from "../../../src/engine/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { engineOf, loadTiny } from "./fixtures.js";

const failure = (code: string, message: string) => expect.objectContaining({ code, message });

let engine: Engine;
beforeAll(async () => {
  engine = await loadTiny("plain-v4");
});
afterAll(() => engine.dispose());

describe("Engine.load", () => {
  it.each([
    ["kvTokens", -1],
    ["kvTokens", NaN],
    ["kvTokens", Infinity],
    ["contextTokens", "8"],
    ["maxSequences", 0],
    ["prefillChunk", 1.5],
  ])("refuses %s = %p", async (name, value) => {
    const load = Engine.load(await engineOf("plain-v4"), { [name]: value } as EngineLoadOptions);
    await expect(load).rejects.toEqual(
      failure("ERR_ARGUMENT", `${name}: expected a whole number, at least 1, found ${String(value)}`),
    );
  });

  it("refuses a directory that is no string, and options that are no object", async () => {
    await expect(Engine.load(undefined as never)).rejects.toEqual(
      failure("ERR_ARGUMENT", "directory: expected a path, found undefined"),
    );
    await expect(Engine.load("x", null as never)).rejects.toEqual(
      failure("ERR_ARGUMENT", "options: expected an object, found null"),
    );
  });

  it("names generation_config.json and its field", async () => {
    const copy = join(temporaryDirectory(), "engine");
    cpSync(await engineOf("plain-v4"), copy, { recursive: true });
    const path = join(copy, "generation_config.json");
    writeFileSync(path, '{"do_sample": true, "temperature": -5}');
    await expect(Engine.load(copy)).rejects.toMatchObject({
      code: "ERR_ENGINE_FORMAT",
      message: `${path}: temperature: Too small: expected number to be >=0, found -5`,
    });
  });
});

describe("generate", () => {
  const cases: [unknown, string, string][] = [
    [undefined, "ERR_ARGUMENT", "options: expected an object, found undefined"],
    [{ prompt: 5 }, "ERR_ARGUMENT", "prompt: expected a string, found 5"],
    [{ ids: [1], stop: "x" }, "ERR_ARGUMENT", "stop: expected a list of strings, found x"],
    [{ ids: [1], stop: [5] }, "ERR_ARGUMENT", "stop: expected a list of strings, found 5"],
    [{ ids: [1], signal: 5 }, "ERR_ARGUMENT", "signal: expected an AbortSignal, found 5"],
    [{ ids: "12" }, "ERR_ARGUMENT", "ids: expected a list of token ids, found string 12"],
    [{ ids: [1, 1.5] }, "ERR_ARGUMENT", "ids[1]: expected a whole number, found 1.5"],
    [{ ids: [NaN] }, "ERR_ARGUMENT", "ids[0]: expected a whole number, found NaN"],
    [{ ids: [1n] }, "ERR_ARGUMENT", "ids[0]: expected a whole number, found bigint 1"],
    [{ ids: [2 ** 32 + 1] }, "ERR_TOKEN_ID", "ids[0]: expected 0 <= id < 61 (the vocabulary), found 4294967297"],
    [{ ids: [-1] }, "ERR_TOKEN_ID", "ids[0]: expected 0 <= id < 61 (the vocabulary), found -1"],
    [{ ids: Int32Array.of(99) }, "ERR_TOKEN_ID", "ids[0]: expected 0 <= id < 61 (the vocabulary), found 99"],
  ];
  it.each(cases)("refuses %p", async (options, code, message) => {
    await expect(engine.generate(options as GenerateOptions).result()).rejects.toEqual(failure(code, message));
  });

  it("takes a topK beyond 32 bits as all tokens", async () => {
    const { ids } = await engine.generate({ ids: [1], topK: 1e12, temperature: 1, seed: 1, maxTokens: 4 }).result();
    const all = await engine.generate({ ids: [1], topK: 0, temperature: 1, seed: 1, maxTokens: 4 }).result();
    expect(ids).toEqual(all.ids);
  });

  it("does not warn when many share a signal", async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on("warning", note);
    const { signal } = new AbortController();
    const open = Array.from({ length: 40 }, () => engine.generate({ ids: [1], maxTokens: 2, signal }).result());
    await Promise.all(open);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", note);
    expect(warnings).toEqual([]);
  });
});

describe("logits and score", () => {
  it("refuse ids that would wrap", async () => {
    const wrapped = failure("ERR_TOKEN_ID", "ids[0]: expected 0 <= id < 61 (the vocabulary), found 4294967297");
    await expect(engine.logits([2 ** 32 + 1])).rejects.toEqual(wrapped);
    await expect(engine.score([2 ** 32 + 1, 1])).rejects.toEqual(wrapped);
    await expect(engine.logits(undefined as never)).rejects.toEqual(
      failure("ERR_ARGUMENT", "ids: expected a list of token ids, found undefined"),
    );
  });

  it("refuse to score from where no id is", async () => {
    for (const from of [0, 3, -1])
      await expect(engine.score([1, 2, 3], { from })).rejects.toEqual(
        failure("ERR_ARGUMENT", `from: expected 1 to 2 (the last of the ids), found ${from}`),
      );
    await expect(engine.score([1, 2, 3], { from: 1.5 })).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
  });
});
