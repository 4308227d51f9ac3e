import { LoadMonitor, readCpuTicks } from "../../../src/bench/load-monitor.js";

const files: Record<string, string> = {
  "/proc/stat": "cpu  100 5 50 1000 20 1 2 7 0 0\ncpu0 50 0 0 0 0 0 0 0 0 0\n",
  "/proc/self/stat": `42 (a (strange) name) S 1 1 1 0 -1 0 0 0 0 0 30 12 0 0 20 0 9 0 5\n`,
};

describe("readCpuTicks", () => {
  it("reads the machine's and the process's ticks", () => {
    expect(readCpuTicks((path) => files[path] as string)).toEqual({ total: 1185, busy: 165, own: 42 });
  });

  it("is null where there is no /proc, or a strange one", () => {
    expect(
      readCpuTicks(() => {
        throw new Error("ENOENT");
      }),
    ).toBeNull();
    expect(readCpuTicks(() => "cpu  x y z\n")).toBeNull();
    expect(readCpuTicks(() => "")).toBeNull();
  });
});

describe("LoadMonitor", () => {
  it("adds up spans and forgets what is between", () => {
    const ticks = [
      { busy: 0, total: 0, own: 0 },
      { busy: 50, total: 100, own: 40 },
      { busy: 500, total: 600, own: 40 },
      { busy: 590, total: 700, own: 130 },
    ];
    const monitor = new LoadMonitor(() => ticks.shift() ?? null);
    for (let span = 0; span < 2; ++span) {
      monitor.begin();
      monitor.end();
    }
    expect(monitor.foreignShare()).toBeCloseTo(10 / 200);
  });

  it("does not know without ticks, or with no time passed", () => {
    const unknown = new LoadMonitor(() => null);
    unknown.begin();
    unknown.end();
    expect(unknown.foreignShare()).toBeNull();
    const still = new LoadMonitor(() => ({ busy: 1, total: 1, own: 1 }));
    still.begin();
    still.end();
    expect(still.foreignShare()).toBeNull();
  });
});
