// npm run prebuild: makes what is published, prebuilds/*.tgz: the addon's package for this platform, and espalier with
// that package among its optional dependencies. Then installs both in an empty project and uses them. Needs a build.
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { libcName, platformId } from "../dist/load-addon.js";
import { verifyInstall } from "./verify-install.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "prebuilds");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const platform = platformId();
const packageName = `@espalier/${platform}`;

const kib = (bytes) => `${Math.round(bytes / 1024)} KiB`;
const writeJson = (path, value) => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

/** Newest symbol versions the addon asks the system's C and C++ libraries for, such as "GLIBC 2.34". */
function requirements(addon) {
  const symbols = spawnSync("objdump", ["-T", addon], { encoding: "utf8", maxBuffer: 1 << 26 }).stdout ?? "";
  const newest = new Map();
  for (const [, library, version] of symbols.matchAll(/\((GLIBC|GLIBCXX)_([\d.]+)\)/g)) {
    const order = (text) => text.split(".").reduce((sum, part) => sum * 1000 + Number(part), 0);
    const padded = (text) => order([...text.split("."), "0", "0"].slice(0, 3).join("."));
    if (!newest.has(library) || padded(version) > padded(newest.get(library))) newest.set(library, version);
  }
  const libraries = [...newest].map(([library, version]) => `${library} ${version} or newer`);
  return [`Node ${manifest.engines.node}`, ...libraries].join(", ");
}

function makePlatformPackage() {
  const folder = join(out, platform);
  mkdirSync(folder, { recursive: true });
  const addon = join(folder, "espalier.node");
  copyFileSync(join(root, "build/Release/espalier.node"), addon);
  const strip = spawnSync("strip", process.platform === "darwin" ? ["-x", addon] : ["--strip-unneeded", addon]);
  if (strip.status !== 0)
    console.error("espalier: strip did not run (binutils): debug information stays in the package");
  const needs = requirements(addon);
  const fill = (name) =>
    readFileSync(join(root, "npm", name), "utf8")
      .replaceAll("PLATFORM", platform)
      .replaceAll("VERSION", manifest.version)
      .replaceAll("REQUIREMENTS", needs);
  const libc = { gnu: "glibc", musl: "musl" }[libcName()];
  writeJson(join(folder, "package.json"), {
    ...JSON.parse(fill("platform-package.json")),
    engines: manifest.engines,
    os: [process.platform],
    cpu: [process.arch],
    ...(libc === undefined ? {} : { libc: [libc] }),
  });
  writeFileSync(join(folder, "README.md"), fill("README.md"));
  copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  console.log(`${packageName} ${manifest.version} needs ${needs}`);
  return pack(folder);
}

/**
 * espalier as it is published. Only here does it depend on the platform packages: were they in the repository's
 * package.json, a version that no registry has yet would stand in the lock file.
 */
function makeMainPackage() {
  const folder = join(out, "espalier");
  const listed = JSON.parse(npm(root, "pack", "--dry-run", "--json"))[0].files;
  for (const { path } of listed) cpSync(join(root, path), join(folder, path));
  const published = { ...manifest, optionalDependencies: { [packageName]: manifest.version } };
  delete published.devDependencies;
  delete published.scripts;
  writeJson(join(folder, "package.json"), published);
  return pack(folder);
}

function pack(folder) {
  const [{ filename, size, unpackedSize }] = JSON.parse(npm(folder, "pack", "--json", "--pack-destination", out));
  console.log(`${filename}: ${kib(size)}, unpacked ${kib(unpackedSize)}`);
  return join(out, filename);
}

function npm(cwd, ...args) {
  return execFileSync("npm", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

rmSync(out, { recursive: true, force: true });
const tarballs = [makePlatformPackage(), makeMainPackage()];
await verifyInstall({
  tarballs,
  packageName,
  version: manifest.version,
  model: join(root, "test/fixtures/tiny-llama/plain-v4"),
});
console.log(`ready to publish, in this order: ${tarballs.map((path) => relative(root, path)).join(", ")}`);
