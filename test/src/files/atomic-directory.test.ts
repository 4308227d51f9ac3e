import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeDirectoryAtomically, writeFileAtomically } from "../../../src/files/atomic-directory.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";

const fill = (staging: string): Promise<void> => writeFile(join(staging, "a.txt"), "a");

describe("writeDirectoryAtomically", () => {
  it("puts the files in place, making parents", async () => {
    const root = temporaryDirectory();
    await writeDirectoryAtomically(join(root, "x/y"), fill);
    expect(readFileSync(join(root, "x/y/a.txt"), "utf8")).toBe("a");
    expect(readdirSync(join(root, "x"))).toEqual(["y"]);
  });

  it("never replaces anything", async () => {
    const root = temporaryDirectory();
    mkdirSync(join(root, "folder"));
    writeFileSync(join(root, "file"), "mine");
    for (const name of ["folder", "file"])
      await expect(writeDirectoryAtomically(join(root, name), fill)).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", name));
    await expect(
      writeDirectoryAtomically(join(root, "late"), (staging) => {
        mkdirSync(join(root, "late"));
        return fill(staging);
      }),
    ).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", "late"));
    expect(readdirSync(root).sort()).toEqual(["file", "folder", "late"]);
  });

  it("leaves nothing when filling fails, and says why", async () => {
    const root = temporaryDirectory();
    const failing =
      (code: string) =>
      async (staging: string): Promise<void> => {
        await fill(staging);
        throw Object.assign(new Error(`${code}: write`), { code, syscall: "write" });
      };
    const target = join(root, "out");
    await expect(writeDirectoryAtomically(target, failing("ENOSPC"))).rejects.toThrow(coded("ERR_DISK_FULL", "out"));
    await expect(writeDirectoryAtomically(target, failing("EDQUOT"))).rejects.toThrow(coded("ERR_DISK_FULL", "out"));
    await expect(writeDirectoryAtomically(target, failing("EIO"))).rejects.toThrow(coded("ERR_FILE_WRITE", "EIO"));
    await expect(writeDirectoryAtomically(target, () => Promise.reject(new TypeError("x")))).rejects.toThrow(TypeError);
    expect(readdirSync(root)).toEqual([]);
  });

  it("removes what a killed process left long ago, and nothing else", async () => {
    const root = temporaryDirectory();
    const { pid: gone } = spawnSync(process.execPath, ["-e", ""]);
    const leave = (name: string, hoursAgo: number): string => {
      mkdirSync(join(root, name));
      writeFileSync(join(root, name, "weights.bin"), "");
      const then = new Date(Date.now() - hoursAgo * 3.6e6);
      for (const path of [join(root, name, "weights.bin"), join(root, name)]) utimesSync(path, then, then);
      return name;
    };
    leave(`.out.espalier-${gone}-01234567`, 1);
    const kept = [
      leave(`.out.espalier-${gone}-89abcdef`, 0), // written to just now
      leave(`.out.espalier-${process.pid}-01234567`, 1), // its process lives
      leave(`.other.espalier-${gone}-01234567`, 1),
      leave(`.out.espalier-${gone}-mine`, 1),
    ];
    await writeDirectoryAtomically(join(root, "out"), fill);
    expect(readdirSync(root).sort()).toEqual([...kept, "out"].sort());
  });

  it("stops at an abort, early or late", async () => {
    const root = temporaryDirectory();
    const controller = new AbortController();
    const late = async (staging: string): Promise<void> => {
      await fill(staging);
      controller.abort();
    };
    for (let i = 0; i < 2; ++i)
      await expect(writeDirectoryAtomically(join(root, "out"), late, { signal: controller.signal })).rejects.toThrow(
        coded("ERR_ABORTED"),
      );
    expect(readdirSync(root)).toEqual([]);
  });

  it("says when the parent cannot be written", async () => {
    await expect(writeDirectoryAtomically("/proc/nowhere/out", fill)).rejects.toThrow(coded("ERR_FILE_WRITE", "/proc"));
    const root = temporaryDirectory();
    writeFileSync(join(root, "file"), "");
    await expect(writeDirectoryAtomically(join(root, "file/x/out"), fill)).rejects.toThrow(coded("ERR_FILE_WRITE"));
  });
});

describe("writeFileAtomically", () => {
  it("puts the file in place, whole or not at all, and replaces nothing", async () => {
    const root = temporaryDirectory();
    const target = join(root, "x/model.gguf");
    const failing = async (staging: string): Promise<void> => {
      await writeFile(staging, "half");
      throw Object.assign(new Error("ENOSPC: write"), { code: "ENOSPC", syscall: "write" });
    };
    await expect(writeFileAtomically(target, failing)).rejects.toThrow(coded("ERR_DISK_FULL", "model.gguf"));
    expect(readdirSync(join(root, "x"))).toEqual([]);
    await writeFileAtomically(target, (staging) => writeFile(staging, "whole"));
    await expect(writeFileAtomically(target, failing)).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", "model.gguf"));
    expect(readFileSync(target, "utf8")).toBe("whole");
    await expect(writeFileAtomically("", failing)).rejects.toThrow(coded("ERR_ARGUMENT", "output file"));
  });

  it("removes what a killed process left long ago", async () => {
    const root = temporaryDirectory();
    const { pid: gone } = spawnSync(process.execPath, ["-e", ""]);
    const [old, fresh] = [".out.espalier-" + gone + "-01234567", ".out.espalier-" + gone + "-89abcdef"];
    for (const name of [old, fresh]) writeFileSync(join(root, name), "half");
    utimesSync(join(root, old), new Date(0), new Date(0));
    await writeFileAtomically(join(root, "out"), (staging) => writeFile(staging, "whole"));
    expect(readdirSync(root).sort()).toEqual([fresh, "out"].sort());
  });
});
