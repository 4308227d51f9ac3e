// npm run build | start | test as the first command in a fresh clone: installs, builds what changed, runs.
// No dependencies: it runs before any are installed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

/** Runs a command; on failure prints its output (when hidden) and exits with its status. */
export function run(command, args, { hidden = false, env = {} } = {}) {
  const result = spawnSync(command, args, {
    stdio: hidden ? ["ignore", "pipe", "pipe"] : "inherit",
    env: { ...process.env, ...env },
    maxBuffer: 1 << 28,
  });
  if (result.error) fail(`${command}: ${result.error.message}`);
  if (result.status === 0) return;
  if (hidden) process.stderr.write(Buffer.concat([result.stdout, result.stderr]));
  process.exit(result.status ?? 1);
}

function fail(message) {
  process.stderr.write(`espalier: ${message}\n`);
  process.exit(1);
}

function say(message) {
  process.stderr.write(`espalier: ${message}\n`);
}

function* files(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* files(path);
    else yield path;
  }
}

/** Hash of names and contents. */
function fingerprint(paths, extra = "") {
  const hash = createHash("sha256").update(extra);
  for (const path of paths.sort()) hash.update(path).update("\0").update(readFileSync(path)).update("\0");
  return hash.digest("hex");
}

/** Runs `work` unless the stamp of `name` already holds this fingerprint and `product` exists. */
function unlessCurrent(name, product, print, work) {
  const stamp = join("build", `.stamp-${name}`);
  if (existsSync(product) && existsSync(stamp) && readFileSync(stamp, "utf8") === print) return;
  work();
  mkdirSync("build", { recursive: true });
  writeFileSync(stamp, print);
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    fail(`Node ${process.versions.node} is too old: 20.19 or newer is needed`);
}

/** Compiler, make and python3 by name; what is missing is printed with the command that installs it. */
function checkTools() {
  const works = (command, args) => spawnSync(command, args, { stdio: "ignore" }).status === 0;
  const missing = [];
  const cxx = process.env.CXX ?? "g++";
  if (!works(cxx, ["--version"])) missing.push(["a C++20 compiler (g++ 11 or newer)", "g++"]);
  if (!works("make", ["--version"])) missing.push(["make", "make"]);
  if (!works("python3", ["--version"])) missing.push(["python3 (node-gyp needs it)", "python3"]);
  if (missing.length === 0) return;
  const names = missing.map(([, name]) => name).join(" ");
  fail(
    `the native addon cannot be built, missing: ${missing.map(([what]) => what).join(", ")}.\n` +
      `  Debian/Ubuntu: sudo apt-get install ${names}\n` +
      `  Fedora:        sudo dnf install ${names.replace("g++", "gcc-c++")}\n` +
      `  Alpine:        sudo apk add ${names}`,
  );
}

function install() {
  const print = fingerprint(["package.json", "package-lock.json"], process.version);
  unlessCurrent("install", "node_modules", print, () => {
    say("installing npm packages");
    run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
  });
}

/** Headers shipped beside this Node spare node-gyp a download. */
function nodedirArgs() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, "include/node/node_api.h")) ? [`--nodedir=${prefix}`] : [];
}

function buildNative() {
  const sources = ["binding.gyp", "scripts/list-sources.mjs", "package-lock.json", ...files("native")];
  const print = fingerprint(sources, `${process.version} ${process.env.CXX ?? ""}`);
  unlessCurrent("native", "build/Release/espalier.node", print, () => {
    checkTools();
    say("building the native addon");
    const gyp = ["node_modules/node-gyp/bin/node-gyp.js"];
    run(process.execPath, [...gyp, "configure", ...nodedirArgs()], { hidden: true });
    run(process.execPath, [...gyp, "build", "-j", "max"], { hidden: true });
  });
}

function buildTypeScript() {
  const print = fingerprint(["tsconfig.json", "package-lock.json", ...files("src")]);
  unlessCurrent("typescript", "dist/index.js", print, () => {
    say("compiling TypeScript");
    run(process.execPath, ["node_modules/typescript/bin/tsc"]);
  });
}

function build() {
  checkNode();
  install();
  buildNative();
  buildTypeScript();
}

const verbs = {
  build: () => build(),
  test: (args) => {
    build();
    run(process.execPath, ["node_modules/jest/bin/jest.js", ...args]);
  },
  "test:models": (args) => {
    build();
    run(process.execPath, ["scripts/fetch-smollm2.mjs"]);
    const jest = ["node_modules/jest/bin/jest.js", "--runInBand", "test/models", ...args];
    run(process.execPath, jest, { env: { ESPALIER_TEST_MODELS: "1" } });
  },
  prebuild: () => {
    build();
    run(process.execPath, ["scripts/prebuild.mjs"]);
  },
  start: (args) => {
    build();
    run(process.execPath, ["dist/cli/main.js", "quickstart", ...args]);
  },
};

const [verb = "build", ...args] = process.argv.slice(2);
if (!Object.hasOwn(verbs, verb)) fail(`unknown task "${verb}": expected ${Object.keys(verbs).join(", ")}`);
verbs[verb](args);
