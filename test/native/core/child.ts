import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** Runs `code` in a fresh Node with `binding` in scope, for what is read from the environment once; its output. */
export function inChild(code: string, env: Record<string, string>): string {
  return outputsOf(code, env).stdout;
}

/** The same with what went to standard error. */
export function outputsOf(code: string, env: Record<string, string>): { stdout: string; stderr: string } {
  const url = pathToFileURL(join(__dirname, "..", "..", "..", "dist", "binding.js")).href;
  const program = `import { binding } from ${JSON.stringify(url)};\n${code}`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    env: { ...process.env, ...env },
    encoding: "utf8",
  });
  if (child.status !== 0) throw new Error(`child ended with ${child.status}: ${child.stderr}`);
  return { stdout: child.stdout.trim(), stderr: child.stderr.trim() };
}
