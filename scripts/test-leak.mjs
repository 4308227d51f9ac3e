// npm run test:leak: memory, threads and files that stay behind, and how long the event loop stands still. Each check of
// test/leak is a Node process of its own; then the core runs without Node under LeakSanitizer.
import { spawnSync } from "node:child_process";
import { build, buildNative, fail, productOf, say } from "./build-steps.mjs";

const LSAN_REPORTED = 23;

const checks = [["cycles"], ["smollm2", "int8-w8a8", "f32"], ["event-loop"]];

function runCheck([name, ...args]) {
  say(`leak check: ${name}`);
  const node = ["--expose-gc", `test/leak/${name}.mjs`, ...args];
  return spawnSync(process.execPath, node, { stdio: "inherit" }).status === 0;
}

function checkCore() {
  say("leak check: the core under LeakSanitizer");
  buildNative("lsan");
  const program = productOf("lsan");
  // A sanitizer that reports nothing proves nothing unless it reports what is wrong on purpose.
  const seeded = spawnSync(program, ["leak"], { encoding: "utf8" });
  if (seeded.status !== LSAN_REPORTED || !seeded.stderr.includes("1000 byte"))
    fail(`a leak made on purpose: no report, status ${seeded.status}\n${seeded.stderr}`);
  return spawnSync(program, [], { stdio: "inherit" }).status === 0;
}

build();
const failed = checks.filter((check) => !runCheck(check)).map(([name]) => name);
if (!checkCore()) failed.push("LeakSanitizer");
if (failed.length > 0) fail(`leak checks failed: ${failed.join(", ")}`);
say("leak checks passed");
