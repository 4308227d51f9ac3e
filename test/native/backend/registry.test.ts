/** Which shared objects are taken for a backend. Each is compiled here, so a C++ compiler is needed. */
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { temporaryDirectory } from "../../temporary.js";

const root = join(__dirname, "../../..");
const folder = temporaryDirectory();
const compiler = process.env["CXX"] ?? "g++";
const find = binding.testing["find_backend"] as (options: { name: string }) => { name: string; why: string };

const refused = (code: string, ...parts: string[]) =>
  expect.objectContaining({ code, message: expect.stringMatching(parts.join(".*")) });

it("gives the CPU's table by name and for auto", () => {
  expect(find({ name: "cpu" }).name).toBe("cpu");
  expect(find({ name: "auto" })).toEqual(find({ name: "cpu" }));
});

it("refuses names it does not know, files that are absent and files that are no shared objects", () => {
  expect(() => find({ name: "abacus" })).toThrow(refused("ERR_BACKEND_UNKNOWN", "abacus"));
  const absent = join(folder, "absent.so");
  expect(() => find({ name: absent })).toThrow(
    refused("ERR_BACKEND_LOAD", absent, "No such file|not found|no such file"),
  );
  const text = join(folder, "text.so");
  writeFileSync(text, "this is a text file, longer than the header of a shared object: ".repeat(8));
  expect(() => find({ name: text })).toThrow(refused("ERR_BACKEND_LOAD", text));
});

const compilerWorks = spawnSync(compiler, ["--version"]).status === 0;
if (!compilerWorks) console.warn(`backend registry: shared objects are not tested, ${compiler} does not run`);

(compilerWorks ? describe : describe.skip)("a shared object", () => {
  /** Path of the fixture compiled with these macros. */
  const compile = (name: string, ...macros: string[]): string => {
    const path = join(folder, `${name}.so`);
    const source = join(root, "test/fixtures/backend/fixture_backend.cpp");
    const flags = ["-std=c++20", "-O0", "-shared", "-fPIC", "-fvisibility=hidden", `-I${join(root, "native")}`];
    execFileSync(compiler, [...flags, ...macros.map((macro) => `-D${macro}`), source, "-o", path]);
    return path;
  };

  it("with the right table is taken", () => {
    expect(find({ name: compile("good") })).toEqual({ name: "fixture", why: "fixture device found" });
  });

  it("of another version of the table is refused", () => {
    const path = compile("version", "FIXTURE_VERSION=999");
    expect(() => find({ name: path })).toThrow(refused("ERR_BACKEND_VERSION", path, "expected", "found 999"));
  });

  it("with a table of another size is refused", () => {
    const path = compile("size", "FIXTURE_SIZE=8");
    expect(() => find({ name: path })).toThrow(refused("ERR_BACKEND_VERSION", path, "8"));
  });

  it("without the symbol is refused", () => {
    const path = compile("symbol", "FIXTURE_SYMBOL=another_symbol");
    expect(() => find({ name: path })).toThrow(refused("ERR_BACKEND_LOAD", path, "does not export espalier_backend"));
  });

  it("that cannot run here is refused with its reason", () => {
    const path = compile("score", "FIXTURE_SCORE=0");
    expect(() => find({ name: path })).toThrow(refused("ERR_BACKEND_UNUSABLE", "fixture", "no fixture device"));
  });
});
