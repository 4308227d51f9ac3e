import { binding } from "../../../src/binding.js";
import { inChild } from "./child.js";

const pool = binding.testing;

describe("ESPALIER_THREADS", () => {
  const code = "const { threads, problem } = binding.cpuInfo(); console.log(problem?.message ?? threads)";

  it("sets the threads; empty is as if unset", () => {
    expect(inChild(code, { ESPALIER_THREADS: "7" })).toBe("7");
    expect(inChild(code, { ESPALIER_THREADS: "" })).toBe(String(binding.cpuInfo().physicalCores));
  });

  it.each(["0", "abc", "-1", "2x", "257", "99999999999999999999"])("%s is refused, not ignored", (text) => {
    const problem = `ESPALIER_THREADS: expected a whole number from 1 to 256, found "${text}"`;
    expect(inChild(code, { ESPALIER_THREADS: text })).toBe(problem);
  });
});

describe("thread pool", () => {
  it("runs every task exactly once, for few and many tasks and threads", () => {
    for (const threads of [1, 2, 3, 8])
      for (const tasks of [0, 1, 2, threads - 1, threads, threads + 1, 1000]) {
        const visits = new Int32Array(tasks);
        expect(pool["thread_pool_run"]!({ visits, tasks, threads })).toBe(0);
        expect(visits.every((count) => count === 1)).toBe(true);
      }
  });

  it("covers a range exactly once in pieces of whole grains", () => {
    for (const threads of [1, 2, 5])
      for (const count of [0, 1, 7, 64, 100, 1001])
        for (const grain of [1, 3, 16, 2000]) {
          const visits = new Int32Array(count);
          expect(pool["thread_pool_ranges"]!({ visits, count, grain, threads })).toBe(0);
          expect(visits.every((times) => times === 1)).toBe(true);
        }
  });

  it("does many small runs, one after another", () => {
    const [tasks, repeats] = [3, 20000];
    const visits = new Int32Array(tasks);
    expect(pool["thread_pool_run"]!({ visits, tasks, repeats, threads: 2 })).toBe(0);
    expect([...visits]).toEqual([repeats, repeats, repeats]);
  });

  it("lets callers take turns", () => {
    expect(pool["thread_pool_callers"]!({ threads: 3, callers: 4, runs: 200, tasks: 7 })).toBe(4 * 200 * 7);
  });

  it("sleeps when idle", () => {
    // the rest of the process (the JavaScript engine's threads) may spend some: the best of three
    const spent = [1, 2, 3].map(() => pool["thread_pool_idle"]!({ threads: 4, milliseconds: 200 }) as number);
    expect(Math.min(...spent)).toBeLessThan(10);
  });

  it("takes ESPALIER_THREADS when it is a number from 1 to 256, else the physical cores", () => {
    const threads = (value: string) => inChild("console.log(binding.cpuInfo().threads)", { ESPALIER_THREADS: value });
    const cores = String(binding.cpuInfo().physicalCores);
    expect(threads("3")).toBe("3");
    expect(threads("256")).toBe("256");
    for (const wrong of ["0", "-1", "257", "two", "2x", ""]) expect(threads(wrong)).toBe(cores);
  });
});
