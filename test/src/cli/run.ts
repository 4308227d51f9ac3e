/** Runs the built command line as a user would. */
import { spawn } from "node:child_process";
import { join } from "node:path";

export const main = join(__dirname, "../../../dist/cli/main.js");

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  input?: string;
  /** Sends SIGINT once standard error holds this. */
  interruptAt?: string;
  /** Closes our end of standard error at once. */
  deafStderr?: boolean;
}

export function espalier(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...options.env } });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    if (options.deafStderr === true) child.stderr.destroy();
    else
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        stderr += text;
        if (options.interruptAt === undefined || !stderr.includes(options.interruptAt)) return;
        delete options.interruptAt; // once: a second signal would end it at once
        child.kill("SIGINT");
      });
    child.stdin.on("error", () => {}); // a command that reads nothing may be gone already
    child.stdin.end(options.input ?? "");
    child.on("error", reject).on("close", (status) => resolve({ status, stdout, stderr }));
  });
}
