// npm run test:sanitize: the tests of native code under AddressSanitizer and UndefinedBehaviorSanitizer, then the
// threaded core without Node under ThreadSanitizer. Any report fails the run. Further arguments go to jest.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, buildNative, fail, productOf, say } from "./build-steps.mjs";

/** What jest runs: everything that reaches native code with data of its own, files of all kinds included. */
const testPaths = ["test/native", "test/src/checkpoint", "test/src/engine", "test/src/importance/pass"];
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

/** What the sanitizers wrote since the folder was emptied; warnings (an allocation refused on purpose) left out. */
function takeReports() {
  const texts = readdirSync(reportFolder).map((name) => readFileSync(join(reportFolder, name), "utf8"));
  rmSync(reportFolder, { recursive: true });
  mkdirSync(reportFolder);
  return texts.filter((text) => /ERROR: |runtime error: /.test(text));
}

/** Node with the sanitized addon. A report ends it: ASan's goes to a file, UBSan's to standard error. */
function runNode(args, stdio) {
  // Leaks are the matter of test:leak: Node leaves much behind at exit. V8 has handlers of its own for SIGSEGV.
  const asan = ["detect_leaks=0", "allow_user_segv_handler=1", "allocator_may_return_null=1"];
  const log = `log_path=${join(reportFolder, "report")}`;
  const env = {
    ...process.env,
    ESPALIER_BINDING: productOf("asan"),
    LD_PRELOAD: [runtimeOf("libasan.so"), runtimeOf("libubsan.so")].join(":"),
    ASAN_OPTIONS: [...asan, log].join(":"),
    UBSAN_OPTIONS: ["print_stacktrace=1", "halt_on_error=1", log].join(":"),
  };
  return spawnSync(process.execPath, args, { stdio, env, encoding: "utf8" });
}

/** A sanitizer that reports nothing proves nothing unless it reports what is wrong on purpose. */
function checkThatAddonIsWatched() {
  for (const [name, wanted] of [
    ["read_out_of_bounds", "heap-buffer-overflow"],
    ["overflow_integer", "signed integer overflow"],
  ]) {
    const call = `require(process.env.ESPALIER_BINDING).testing.${name}({})`;
    const { status, stderr } = runNode(["-e", call], "pipe");
    if (status === 0 || ![stderr, ...takeReports()].some((text) => text.includes(wanted)))
      fail(`${name}, wrong on purpose: no sanitizer report`);
  }
}

function testAddon(args) {
  buildNative("asan");
  rmSync(reportFolder, { recursive: true, force: true });
  mkdirSync(reportFolder, { recursive: true });
  checkThatAddonIsWatched();
  const jest = ["node_modules/jest/bin/jest.js", "--runInBand", "--testTimeout=300000", ...testPaths, ...args];
  const { status } = runNode(jest, "inherit");
  const reports = takeReports();
  for (const text of reports) process.stderr.write(`${text}\n`);
  if (reports.length > 0) say(`${reports.length} sanitizer reports`);
  return status === 0 && reports.length === 0;
}

function testThreads() {
  runtimeOf("libtsan.so");
  buildNative("tsan");
  const env = { ...process.env, TSAN_OPTIONS: "exitcode=66:second_deadlock_stack=1" };
  if (spawnSync(productOf("tsan"), ["race"], { stdio: "ignore", env }).status !== 66)
    fail("a race made on purpose: no sanitizer report");
  const { status } = spawnSync(productOf("tsan"), [], { stdio: "inherit", env });
  if (status !== 0) say(`thread_safety ended with ${status}`);
  return status === 0;
}

build();
const passed = [testAddon(process.argv.slice(2)), testThreads()];
process.exit(passed.every(Boolean) ? 0 : 1);
