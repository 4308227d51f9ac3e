/** Disposal, process exit, worker threads, memory and the event loop. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { engineOf, loadTiny, someIds } from "./fixtures.js";

const code = (expected: string) => expect.objectContaining({ code: expected });
const dist = join(__dirname, "../../../dist/index.js");
const run = promisify(execFile);

/** Runs an ES module in a fresh process; rejects when it ends with another status than 0. */
async function inProcess(body: string, ...args: string[]): Promise<string> {
  const script = `import { Engine } from ${JSON.stringify(dist)};\n${body}`;
  const { stdout } = await run(process.execPath, ["--expose-gc", "--input-type=module", "-e", script, ...args], {
    timeout: 60_000,
  });
  return stdout.trim();
}

describe("dispose", () => {
  it("may be called twice, fails what is open, and refuses more", async () => {
    const engine = await loadTiny("plain-v4");
    const open = engine.generate({ ids: [1], maxTokens: 100, ignoreEos: true });
    const logits = engine.logits(someIds(60, 61), { all: true });
    const session = engine.createSession();
    await Promise.all([
      engine.dispose(),
      engine.dispose(),
      expect(open.result()).rejects.toEqual(code("ERR_DISPOSED")),
      expect(logits).rejects.toEqual(code("ERR_DISPOSED")),
    ]);
    await expect(engine.generate({ ids: [1] }).result()).rejects.toEqual(code("ERR_DISPOSED"));
    await expect(engine.logits([1])).rejects.toEqual(code("ERR_DISPOSED"));
    expect(() => engine.createSession()).toThrow(code("ERR_DISPOSED"));
    expect(() => session.chat("hello")).toThrow(code("ERR_DISPOSED"));
    expect(engine.stats().pagesTotal).toBe(0);
  });

  it("happens at the end of an `await using` block", async () => {
    let kept;
    {
      await using engine = await loadTiny("plain-v4");
      kept = engine;
    }
    await expect(kept.logits([1])).rejects.toEqual(code("ERR_DISPOSED"));
  });
});

describe("process exit", () => {
  it("an idle engine does not keep the process alive", async () => {
    const body = `await Engine.load(process.argv[1]); console.log("loaded");`;
    expect(await inProcess(body, await engineOf("plain-v4"))).toBe("loaded");
  });

  it("exit in the middle of a generation is clean", async () => {
    const body = `
      const engine = await Engine.load(process.argv[1]);
      for await (const chunk of engine.generate({ ids: [1], maxTokens: 100, ignoreEos: true })) process.exit(0);`;
    await inProcess(body, await engineOf("plain-v4"));
  });

  it("an engine that is garbage-collected takes its thread along", async () => {
    const body = `
      for (let i = 0; i < 20; ++i) { const e = await Engine.load(process.argv[1]); await e.logits([1]); }
      for (let i = 0; i < 10; ++i) { gc(); await new Promise((resolve) => setTimeout(resolve, 20)); }
      console.log("done");`;
    expect(await inProcess(body, await engineOf("plain-v4"))).toBe("done");
  });

  it("works in worker threads, several at once, also when they are terminated", async () => {
    const body = `
      import { Worker } from "node:worker_threads";
      const code = \`
        import { workerData, parentPort } from "node:worker_threads";
        import(workerData.dist).then(async ({ Engine }) => {
          const engine = await Engine.load(workerData.engine);
          const { ids } = await engine.generate({ ids: [1, 2], maxTokens: 5, temperature: 0, ignoreEos: true }).result();
          parentPort.postMessage(ids.length);
          engine.generate({ ids: [1], maxTokens: 100, ignoreEos: true });
          if (workerData.disposes) await engine.dispose();
        });\`;
      const start = (disposes) => new Promise((resolve, reject) => {
        const worker = new Worker(code, { eval: true, workerData: { dist: ${JSON.stringify(dist)}, engine: process.argv[1], disposes } });
        worker.on("error", reject);
        worker.on("message", (count) => (disposes ? worker.once("exit", () => resolve(count)) : worker.terminate().then(() => resolve(count))));
      });
      console.log((await Promise.all([start(true), start(false), start(true), start(false)])).join());`;
    expect(await inProcess(body, await engineOf("plain-v4"))).toBe("5,5,5,5");
  });
});

/** AddressSanitizer keeps freed memory aside, so that resident memory says nothing under it. */
const sanitized = (process.env["LD_PRELOAD"] ?? "").includes("asan");
if (sanitized) console.log("skipped: memory after dispose, AddressSanitizer holds freed memory back");

describe("memory", () => {
  (sanitized ? it.skip : it)("loading and disposing many times does not grow the process", async () => {
    const body = `
      const cycle = async () => {
        const engine = await Engine.load(process.argv[1]);
        await engine.generate({ ids: [1, 2, 3], maxTokens: 20, ignoreEos: true }).result();
        await engine.dispose();
      };
      for (let i = 0; i < 20; ++i) await cycle();
      gc();
      const before = process.memoryUsage().rss;
      for (let i = 0; i < 60; ++i) await cycle();
      gc();
      console.log(Math.round((process.memoryUsage().rss - before) / 1e6));`;
    expect(Number(await inProcess(body, await engineOf("plain-v4")))).toBeLessThan(20);
  });
});
