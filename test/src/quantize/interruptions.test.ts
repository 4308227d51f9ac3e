/** Quantizing that is stopped, killed, called twice or has no room: what is left, and that the next call ends the same. */
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { quantize, type QuantizeOptions } from "../../../src/quantize/index.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier, main } from "../cli/run.js";
import { writeModel } from "../prune/fixtures.js";
import { hashesOf, quantizableConfig } from "./fixtures.js";

const root = temporaryDirectory();
const model = join(root, "model");
const options: QuantizeOptions = { model, scheme: "nf4", doubleQuant: true, maxShardBytes: 4e5 };
const layers = 24;
let count = 0;
const fresh = (): string => join(root, `q${count++}`);
let expected: Record<string, string>;

beforeAll(async () => {
  writeModel(model, { ...quantizableConfig, num_hidden_layers: layers, intermediate_size: 384 });
  const out = fresh();
  await quantize({ ...options, out });
  expected = hashesOf(out);
});

const argsOf = (out: string): string[] => {
  const flags = ["--scheme", "nf4", "--double-quant", "--max-shard-size", "400kB"];
  return ["quantize", model, ...flags, "--out", out];
};

it("goes on after an abort at any weight, to the same bytes", async () => {
  for (const stop of [0, 1, 40, 200]) {
    const out = fresh();
    const controller = new AbortController();
    const onProgress = ({ done }: { done: number }): void => {
      if (done === stop) controller.abort();
    };
    const stopped = quantize({ ...options, out }, { signal: controller.signal, onProgress });
    await expect(stopped).rejects.toThrow(coded("ERR_ABORTED"));
    expect(existsSync(out)).toBe(false);
    let first: number | null = null;
    await quantize({ ...options, out }, { onProgress: ({ done }) => (first ??= done) });
    expect(first).toBeGreaterThanOrEqual(stop);
    expect(hashesOf(out)).toEqual(expected);
  }
});

it("other options begin anew", async () => {
  const out = fresh();
  const controller = new AbortController();
  const onProgress = ({ done }: { done: number }): boolean | void => done === 100 && controller.abort();
  await expect(quantize({ ...options, scheme: "fp4", out }, { signal: controller.signal, onProgress })).rejects.toThrow(
    coded("ERR_ABORTED"),
  );
  let first: number | null = null;
  await quantize({ ...options, out }, { onProgress: ({ done }) => (first ??= done) });
  expect(first).toBe(0);
  expect(hashesOf(out)).toEqual(expected);
});

/** Quantizes in a process of its own, lets the journal be written in the middle, and kills itself some weights later. */
const killed = (out: string, at: number): Promise<NodeJS.Signals | null> =>
  new Promise((resolve) => {
    const script = `
      const { quantize } = await import(${JSON.stringify(join(main, "../../index.js"))});
      await quantize(${JSON.stringify({ ...options, out })}, { onProgress: ({ done }) => {
        if (done === ${at - 20}) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2200);
        if (done === ${at}) process.kill(process.pid, "SIGKILL");
      } });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" });
    child.on("close", (_code, signal) => resolve(signal));
  });

it("goes on after SIGKILL, twice, to the same bytes", async () => {
  const out = fresh();
  for (const at of [60, 150]) expect(await killed(out, at)).toBe("SIGKILL");
  expect(existsSync(out)).toBe(false);
  let first: number | null = null;
  await quantize({ ...options, out }, { onProgress: ({ done }) => (first ??= done) });
  expect(first).toBeGreaterThanOrEqual(130);
  expect(hashesOf(out)).toEqual(expected);
  expect(readdirSync(root).filter((name) => name.startsWith("."))).toEqual([]);
});

describe("on the command line", () => {
  it("SIGKILL and Ctrl-C; the next run ends with the same bytes", async () => {
    const out = fresh();
    const signal = await new Promise((resolve) => {
      const child = spawn(process.execPath, [main, ...argsOf(out)]);
      const kill = (text: string): unknown => text.includes("quantizing 0%") && child.kill("SIGKILL");
      child.stderr.setEncoding("utf8").on("data", kill);
      child.on("close", (_code, by) => resolve(by));
    });
    expect(signal).toBe("SIGKILL");
    const stopped = await espalier(argsOf(out), { interruptAt: "quantizing 0%" });
    expect(stopped.status).toBe(130);
    expect(existsSync(out)).toBe(false);
    const finished = await espalier([...argsOf(out), "--json"]);
    expect(finished).toMatchObject({ status: 0 });
    expect(JSON.parse(finished.stdout)).toMatchObject({ out, scheme: "nf4" });
    expect(hashesOf(out)).toEqual(expected);
  });
});

it("a second call for the same directory is told", async () => {
  const out = fresh();
  const calls: Promise<unknown>[] = [];
  const onProgress = (): void => {
    if (calls.length === 0) calls.push(quantize({ ...options, out }).catch((error: unknown) => error));
  };
  await quantize({ ...options, out }, { onProgress });
  expect(await calls[0]).toEqual(coded("ERR_RUN_BUSY", out));
  expect(hashesOf(out)).toEqual(expected);
});

it("a disk that fills up, at any write: nothing is left", async () => {
  const probe = await open(join(root, "probe"), "w");
  const prototype = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  for (const failing of [1, 3, 100, 400]) {
    const out = fresh();
    const real = prototype.write as (...args: unknown[]) => Promise<unknown>;
    let calls = 0;
    const spy = jest.spyOn(prototype, "write").mockImplementation(function (this: FileHandle, ...args: unknown[]) {
      if (++calls < failing) return real.apply(this, args) as never;
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" });
    });
    const error = await quantize({ ...options, out }).catch((reason: unknown) => reason);
    spy.mockRestore();
    expect(error).toEqual(coded("ERR_DISK_FULL", out));
    expect(readdirSync(root).filter((name) => name.includes(`q${count - 1}`))).toEqual([]);
  }
});

describe("places", () => {
  it.each([
    ["a directory", (path: string): void => mkdirSync(path)],
    ["a file", (path: string): void => writeFileSync(path, "")],
    ["a link to nowhere", (path: string): void => symlinkSync(join(root, "nowhere"), path)],
  ])("%s that is there already", async (_name, put) => {
    const out = fresh();
    put(out);
    await expect(quantize({ ...options, out })).rejects.toThrow(coded("ERR_OUTPUT_EXISTS", out));
    rmSync(out, { recursive: true });
  });

  const asRoot = process.getuid?.() === 0;
  it(`a parent that cannot be written${asRoot ? " (as root: /proc)" : ""}`, async () => {
    const parent = asRoot ? "/proc" : fresh();
    if (!asRoot) {
      mkdirSync(parent);
      chmodSync(parent, 0o500);
    }
    await expect(quantize({ ...options, out: join(parent, "out") })).rejects.toThrow(coded("ERR_FILE_WRITE", parent));
  });

  it("a parent that is a file", async () => {
    await expect(quantize({ ...options, out: join(model, "config.json", "out") })).rejects.toThrow(
      coded("ERR_FILE_WRITE", "config.json"),
    );
  });

  it("names with spaces, quotes and other scripts, and a model behind a link", async () => {
    const link = join(root, "ein 'Modell' – ü😀");
    symlinkSync(model, link);
    const out = join(root, "mit Leerzeichen", "q\"u'ote 量化");
    await quantize({ ...options, model: link, out });
    const { "espalier.json": _lineage, ...files } = hashesOf(out);
    expect(expected).toMatchObject(files);
  });
});
