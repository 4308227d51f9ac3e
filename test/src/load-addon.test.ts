/** The addon's loader: local build first, then the platform's package, and what it says when neither is there. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bindingPath } from "../../src/binding.js";
import { loadAddon, platformId, PREBUILT_PLATFORMS } from "../../src/load-addon.js";
import { coded } from "../model-files.js";
import { temporaryDirectory } from "../temporary.js";

const root = join(__dirname, "../..");
const noOverride = { version: "1.2.3", override: undefined };

/** node_modules/espalier as npm installs it, here without build/; gives its path. */
function installed(): string {
  const packageRoot = join(temporaryDirectory(), "node_modules", "espalier");
  mkdirSync(packageRoot, { recursive: true });
  return packageRoot;
}

function writePlatformPackage(packageRoot: string, name: string, version: string, addon: "real" | "text"): string {
  const folder = join(packageRoot, "..", "@espalier", name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: `@espalier/${name}`, version }));
  const path = join(folder, "espalier.node");
  if (addon === "real") cpSync(bindingPath, path);
  else writeFileSync(path, "not a shared object");
  return path;
}

it("names the platform with its C library", () => {
  expect(platformId().split("-").slice(0, 2)).toEqual([process.platform, process.arch]);
  if (process.platform === "linux") expect(platformId()).toMatch(/-(gnu|musl)$/);
});

it("opens the platform's package when there is no local build", () => {
  const packageRoot = installed();
  const path = writePlatformPackage(packageRoot, platformId(), "1.2.3", "real");
  const loaded = loadAddon({ packageRoot, ...noOverride });
  expect(loaded.path).toBe(path);
  expect(loaded.addon).toHaveProperty("NativeEngine");
});

it("prefers the local build", () => {
  const packageRoot = installed();
  writePlatformPackage(packageRoot, platformId(), "1.2.3", "real");
  mkdirSync(join(packageRoot, "build", "Release"), { recursive: true });
  const path = join(packageRoot, "build", "Release", "espalier.node");
  cpSync(bindingPath, path);
  expect(loadAddon({ packageRoot, ...noOverride }).path).toBe(path);
});

it("says what it tried and how to mend it", () => {
  const packageRoot = installed();
  const remedy = PREBUILT_PLATFORMS.includes(platformId()) ? "npm install --include=optional" : "no prebuilt package";
  expect(() => loadAddon({ packageRoot, ...noOverride })).toThrow(
    coded("ERR_BINDING", platformId(), "build/Release/espalier.node: not there", ": not installed", "mend", remedy),
  );
  writeFileSync(join(packageRoot, "binding.gyp"), "");
  expect(() => loadAddon({ packageRoot, ...noOverride })).toThrow(coded("ERR_BINDING", "To mend it", "npm run build"));
});

it("refuses a package of another version, a damaged one and one for another platform", () => {
  const load = (packageRoot: string) => () => loadAddon({ packageRoot, ...noOverride });
  const foreign = installed();
  writePlatformPackage(foreign, "plan9-mips", "1.2.3", "text");
  expect(load(foreign)).toThrow(coded("ERR_BINDING", "not installed, only @espalier/plan9-mips"));
  const newer = installed();
  writePlatformPackage(newer, platformId(), "1.2.4", "real");
  expect(load(newer)).toThrow(coded("ERR_BINDING", "expected version 1.2.3, found 1.2.4"));
  const damaged = installed();
  const path = writePlatformPackage(damaged, platformId(), "1.2.3", "text");
  expect(load(damaged)).toThrow(coded("ERR_BINDING", path));
});

it("takes ESPALIER_BINDING and nothing else", () => {
  const override = join(temporaryDirectory(), "absent.node");
  const load = () => loadAddon({ packageRoot: root, version: "1.2.3", override });
  expect(load).toThrow(coded("ERR_BINDING", `ESPALIER_BINDING: ${override}: not there`, "unset ESPALIER_BINDING"));
  expect(loadAddon({ packageRoot: "/nowhere", version: "1.2.3", override: bindingPath }).path).toBe(bindingPath);
});

it("fails the command line with a coded error, and the API when it is imported", () => {
  const env = { ...process.env, ESPALIER_BINDING: "/nowhere/espalier.node" };
  const cli = spawnSync(process.execPath, [join(root, "dist/cli/main.js"), "doctor", "--json"], { env });
  expect(cli.status).toBe(1);
  expect(JSON.parse(cli.stdout.toString())).toMatchObject({ error: { code: "ERR_BINDING" } });
  expect(cli.stderr.toString()).not.toMatch(/^\s+at /m);
  const body = `try { require(${JSON.stringify(root)}) } catch (error) { console.log(error.code) }`;
  expect(execFileSync(process.execPath, ["-e", body], { env }).toString().trim()).toBe("ERR_BINDING");
});

it("finds the package from a linked clone too", () => {
  const packageRoot = installed();
  const link = join(temporaryDirectory(), "linked");
  symlinkSync(packageRoot, link);
  writePlatformPackage(packageRoot, platformId(), "1.2.3", "real");
  expect(loadAddon({ packageRoot: link, ...noOverride }).addon).toHaveProperty("NativeEngine");
});
