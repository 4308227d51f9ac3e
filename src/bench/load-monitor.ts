/**
 * How much of the machine others used while something ran here: busy ticks of /proc/stat less this process's own.
 */
import { readFileSync } from "node:fs";

/** Clock ticks since boot: all CPUs' busy and whole time, and this process's with all its threads. */
export interface CpuTicks {
  busy: number;
  total: number;
  own: number;
}

/** A cell with more than this share of foreign CPU time is measured again. */
export const DISTURBED_SHARE = 0.05;

/** null where /proc does not tell. */
export function readCpuTicks(
  readText: (path: string) => string = (path) => readFileSync(path, "utf8"),
): CpuTicks | null {
  try {
    const machine = parseMachine(readText("/proc/stat"));
    const own = parseProcess(readText("/proc/self/stat"));
    return machine === null || own === null ? null : { ...machine, own };
  } catch {
    return null;
  }
}

/**
 * "cpu user nice system idle iowait irq softirq steal ...": time the hypervisor gave to others (steal) is busy; guest
 * time is inside user already.
 */
function parseMachine(text: string): { busy: number; total: number } | null {
  const match = /^cpu\s+(.+)$/m.exec(text);
  const fields = (match?.[1] ?? "").trim().split(/\s+/).slice(0, 8).map(Number);
  if (fields.length < 5 || fields.some((field) => !Number.isFinite(field))) return null;
  const total = fields.reduce((sum, field) => sum + field, 0);
  return { total, busy: total - (fields[3] as number) - (fields[4] as number) };
}

/** utime and stime of "pid (name) state ..."; the name may hold spaces and parentheses. */
function parseProcess(text: string): number | null {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const own = Number(fields[11]) + Number(fields[12]);
  return Number.isFinite(own) ? own : null;
}

/** Adds up spans of work; what happens between them does not count. */
export class LoadMonitor {
  readonly #read: () => CpuTicks | null;
  #begin: CpuTicks | null = null;
  #foreign = 0;
  #total = 0;
  #known = true;

  constructor(read: () => CpuTicks | null = readCpuTicks) {
    this.#read = read;
  }

  begin(): void {
    this.#begin = this.#read();
  }

  end(): void {
    const now = this.#read();
    if (now === null || this.#begin === null) {
      this.#known = false;
      return;
    }
    const busy = now.busy - this.#begin.busy;
    this.#foreign += Math.max(0, busy - (now.own - this.#begin.own));
    this.#total += now.total - this.#begin.total;
  }

  /** Foreign share of all CPUs' time in the spans; null when unknown or too short for the clock (10 ms ticks). */
  foreignShare(): number | null {
    return this.#known && this.#total > 0 ? this.#foreign / this.#total : null;
  }
}
