// The steps of a build: install npm packages, compile the addon in one of its flavours, compile TypeScript. Each does
// nothing when its inputs have not changed. No dependencies: they run before any are installed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));

/** Builds of the addon: where, and with which variables of binding.gyp. */
const flavours = {
  release: { folder: ".", variables: {} },
  /** AVX-512 kernels compiled for AVX2 through SIMDe, to test them on a CPU without AVX-512. */
  simde: { folder: "build-simde", variables: { espalier_simde: "1" } },
  /** Address and undefined-behaviour sanitizers. */
  asan: { folder: "build-asan", variables: { espalier_sanitize: "address,undefined" } },
  /** Thread sanitizer: not the addon but a program without Node. */
  tsan: { folder: "build-tsan", variables: { espalier_sanitize: "thread" }, product: "thread_safety" },
  /** Leak sanitizer, the same program. */
  lsan: { folder: "build-lsan", variables: { espalier_sanitize: "leak" }, product: "thread_safety" },
};

/** Path of what a flavour builds: the addon, for ESPALIER_BINDING, or a program. */
export function productOf(flavour) {
  const { folder, product = "espalier.node" } = flavours[flavour];
  return resolve(folder, "build/Release", product);
}

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

export function fail(message) {
  process.stderr.write(`espalier: ${message}\n`);
  process.exit(1);
}

export function say(message) {
  process.stderr.write(`espalier: ${message}\n`);
}

export function* files(folder) {
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

export function checkNode() {
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

export function install() {
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

/** A folder in which node-gyp finds the project and puts its own build/. */
function prepareFolder(folder) {
  mkdirSync(folder, { recursive: true });
  for (const name of ["binding.gyp", "native", "scripts", "package.json"])
    if (!existsSync(join(folder, name))) symlinkSync(join("..", name), join(folder, name));
}

export function buildNative(flavour = "release") {
  const { folder, variables } = flavours[flavour];
  const sources = ["binding.gyp", "scripts/list-sources.mjs", "package-lock.json", ...files("native")];
  const print = fingerprint(sources, `${process.version} ${process.env.CXX ?? ""} ${JSON.stringify(variables)}`);
  const stamp = flavour === "release" ? "native" : `native-${flavour}`;
  unlessCurrent(stamp, productOf(flavour), print, () => {
    checkTools();
    say(`building the native addon${flavour === "release" ? "" : ` (${flavour})`}`);
    if (folder !== ".") prepareFolder(folder);
    const gyp = [resolve("node_modules/node-gyp/bin/node-gyp.js"), "--directory", folder];
    const defines = Object.entries(variables).map(([name, value]) => `-D${name}=${value}`);
    run(process.execPath, [...gyp, "configure", ...nodedirArgs(), "--", ...defines], { hidden: true });
    run(process.execPath, [...gyp, "build", "-j", "max"], { hidden: true });
  });
}

export function buildTypeScript() {
  const print = fingerprint(["tsconfig.json", "package-lock.json", ...files("src")]);
  unlessCurrent("typescript", "dist/index.js", print, () => {
    say("compiling TypeScript");
    run(process.execPath, ["node_modules/typescript/bin/tsc"]);
    chmodSync("dist/cli/main.js", 0o755); // `npx espalier` in a clone runs it as it is
  });
}

export function build() {
  checkNode();
  install();
  buildNative();
  buildTypeScript();
}
