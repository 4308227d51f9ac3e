import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { isProcessAlive } from "../../../src/files/process-alive.js";

it("tells the living from the dead and from zombies", async () => {
  expect(isProcessAlive(process.pid)).toBe(true);
  expect(isProcessAlive(spawnSync(process.execPath, ["-e", ""]).pid)).toBe(false);
  if (!existsSync("/proc/self/stat")) return console.log("skipped: zombies need /proc");
  // A shell that becomes `sleep` never asks for its child's end.
  const parent = spawn("sh", ["-c", "sleep 1 & echo $!; exec sleep 20"], { stdio: ["ignore", "pipe", "ignore"] });
  const pid = await new Promise<number>((resolve) =>
    parent.stdout.once("data", (text: Buffer) => resolve(Number(text.toString()))),
  );
  // On a busy machine the shell may still be a shell, and the child not yet over.
  const deadline = Date.now() + 10_000;
  while (isProcessAlive(pid) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(isProcessAlive(pid)).toBe(false);
  expect(process.kill(pid, 0)).toBe(true); // it still has its number
  parent.kill();
});
