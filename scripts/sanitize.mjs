// npm run test:sanitize: the tests of native code under AddressSanitizer and UndefinedBehaviorSanitizer, then the
// threaded core without Node under ThreadSanitizer. Any report fails the run. Further arguments go to jest.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, buildNative, fail, productOf, say } from "./build-steps.mjs";

/** What jest runs: everything that reaches native code with data of its own, files of all kinds included. */
const testPaths = ["test/native", "test/src/checkpoint", "test/src/engine"];
const reportFolder = resolve(".cache/sanitizer");

/** The runtime of the compiler that built the addon: Node itself was not built with it, so it is loaded first. */
function runtimeOf(library) {
  const compiler = process.env.CXX ?? "g++";
  const path = spawnSync(compiler, [`-print-file-name=${library}`], { encoding: "utf8" }).stdout.trim();
  if (!path.startsWith("/") || !existsSync(path))
    fail(
      `${compiler} has no ${library}; Debian/Ubuntu: it comes with g++; Fedora: sudo dnf install libasan libubsan libtsan`,
    );
  return path;
}

function printReports() {
  const reports = readdirSync(reportFolder);
  for (const name of reports) process.stderr.write(`${readFileSync(join(reportFolder, name), "utf8")}\n`);
  return reports.length;
}

function testAddon(args) {
  buildNative("asan");
  rmSync(reportFolder, { recursive: true, force: true });
  mkdirSync(reportFolder, { recursive: true });
  // Leaks are the matter of test:leak: Node leaves much behind at exit. V8 has handlers of its own for SIGSEGV.
  const asan = ["detect_leaks=0", "allow_user_segv_handler=1", "allocator_may_return_null=1"];
  const log = `log_path=${join(reportFolder, "report")}`;
  const jest = ["node_modules/jest/bin/jest.js", "--runInBand", "--testTimeout=300000", ...testPaths, ...args];
  const { status } = spawnSync(process.execPath, jest, {
    stdio: "inherit",
    env: {
      ...process.env,
      ESPALIER_BINDING: productOf("asan"),
      ESPALIER_SANITIZE: "1",
      LD_PRELOAD: [runtimeOf("libasan.so"), runtimeOf("libubsan.so")].join(":"),
      ASAN_OPTIONS: [...asan, log].join(":"),
      UBSAN_OPTIONS: ["print_stacktrace=1", "halt_on_error=1", log].join(":"),
    },
  });
  const reports = printReports();
  if (reports > 0) say(`${reports} sanitizer reports`);
  return status === 0 && reports === 0;
}

function testThreads() {
  runtimeOf("libtsan.so");
  buildNative("tsan");
  const { status } = spawnSync(productOf("tsan"), [], {
    stdio: "inherit",
    env: { ...process.env, TSAN_OPTIONS: "exitcode=66:second_deadlock_stack=1" },
  });
  if (status !== 0) say(`thread_safety ended with ${status}`);
  return status === 0;
}

build();
const passed = [testAddon(process.argv.slice(2)), testThreads()];
process.exit(passed.every(Boolean) ? 0 : 1);
