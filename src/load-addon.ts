/**
 * Finds and opens the native addon: a local build first, then the package of this platform. Used by binding.ts alone.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { EspalierError } from "./errors.js";

/** Platforms a package is published for; on others the addon is built in a clone. */
export const PREBUILT_PLATFORMS: readonly string[] = ["linux-x64-gnu"];

export interface AddonSearch {
  /** Directory of espalier's package.json. */
  packageRoot: string;
  /** Version a platform package must have: the two are published together. */
  version: string;
  /** ESPALIER_BINDING: this file and no other. */
  override: string | undefined;
}

/** `attempt` describes what failed, one line. */
type Attempt = { addon: unknown; path: string } | { attempt: string };

/** "gnu" or "musl"; "" where the system has but one C library. */
export function libcName(): string {
  if (process.platform !== "linux") return "";
  // The report lists network interfaces unless told not to, and looks their names up: slow.
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  const before = report.excludeNetwork;
  report.excludeNetwork = true;
  const { header } = report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  report.excludeNetwork = before ?? false;
  return header.glibcVersionRuntime === undefined ? "musl" : "gnu";
}

/** Such as "linux-x64-gnu": the last part of the platform package's name. */
export function platformId(): string {
  const libc = libcName();
  return `${process.platform}-${process.arch}${libc === "" ? "" : `-${libc}`}`;
}

/** Opens the addon. ERR_BINDING lists what was tried, why each failed, and what to do on this platform. */
export function loadAddon(search: AddonSearch): { addon: unknown; path: string } {
  const failures: string[] = [];
  for (const attempt of attempts(search)) {
    if ("addon" in attempt) return attempt;
    failures.push(attempt.attempt);
  }
  const where = `${platformId()}, Node ${process.versions.node}`;
  const sections = [`the native addon could not be loaded on ${where}. Tried:`, ...failures.map(indent)];
  throw new EspalierError("ERR_BINDING", [...sections, "To mend it:", ...remedies(search).map(indent)].join("\n"));
}

/** Lazily, so that the platform is only looked at when there is no local build. */
function* attempts({ packageRoot, version, override }: AddonSearch): Generator<Attempt> {
  if (override !== undefined && override !== "") {
    yield openFile(resolve(override), "ESPALIER_BINDING: ");
    return;
  }
  yield openFile(join(packageRoot, "build", "Release", "espalier.node"), "local build ");
  yield openPackage(packageRoot, version);
}

function openFile(path: string, label: string): Attempt {
  if (!existsSync(path)) return { attempt: `${label}${path}: not there` };
  try {
    return { addon: createRequire(path)(path), path };
  } catch (error) {
    return { attempt: `${label}${path}: ${firstLine(error)}` };
  }
}

function openPackage(packageRoot: string, version: string): Attempt {
  const name = `@espalier/${platformId()}`;
  let manifestPath: string;
  try {
    manifestPath = createRequire(join(packageRoot, "package.json")).resolve(`${name}/package.json`);
  } catch {
    const others = installedPlatforms(packageRoot);
    return { attempt: `package ${name}: not installed${others === "" ? "" : `, only ${others}: made for elsewhere`}` };
  }
  const manifest = JSON.parse(readFileSync(manifestPath, "utf8")) as { version?: string };
  if (manifest.version !== version)
    return { attempt: `package ${name}: expected version ${version}, found ${String(manifest.version)}` };
  return openFile(join(dirname(manifestPath), "espalier.node"), `package ${name}: `);
}

/** Packages of other platforms beside espalier: a node_modules directory copied from another machine. */
function installedPlatforms(packageRoot: string): string {
  const scope = join(dirname(packageRoot), "@espalier");
  if (!existsSync(scope)) return "";
  return readdirSync(scope)
    .map((name) => `@espalier/${name}`)
    .join(", ");
}

function remedies({ packageRoot, override }: AddonSearch): string[] {
  if (override !== undefined && override !== "")
    return ["unset ESPALIER_BINDING, or let it name an espalier.node built for this platform and Node"];
  const clone = existsSync(join(packageRoot, "binding.gyp"));
  if (clone) return ["npm run build"];
  const platform = platformId();
  const build =
    "clone the repository, run `npm run build` there, and set ESPALIER_BINDING to build/Release/espalier.node";
  if (!PREBUILT_PLATFORMS.includes(platform))
    return [`${platform} has no prebuilt package (there is one for ${PREBUILT_PLATFORMS.join(", ")}): ${build}`];
  return [
    "npm install --include=optional espalier",
    `if that does not bring @espalier/${platform}: remove node_modules and package-lock.json (a lock file made on another ` +
      "platform may leave it out) and install again",
    `if it is there but cannot be opened (an older C library): ${build}`,
  ];
}

const indent = (line: string): string => `  - ${line}`;

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
