// npm run lint | typecheck | fix: every formatter and linter, for both languages. Needs `npm run build`.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));

function* nativeFiles(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* nativeFiles(path);
    else if (/\.(h|cpp|cu|cuh)$/.test(entry.name)) yield path;
  }
}

/** The clang-format binary of the npm package, without the shell around it: its path differs by platform. */
function clangFormat(...args) {
  return ["node_modules/clang-format/index.js", ...args, ...nativeFiles("native")];
}

const node = (...args) => [process.execPath, ...args];
const eslint = (...args) =>
  node("node_modules/eslint/bin/eslint.js", "--cache", "--cache-location", ".cache/eslint", ...args, ".");
const prettier = (...args) => node("node_modules/prettier/bin/prettier.cjs", "--log-level", "warn", ...args, ".");

const tasks = {
  lint: () => [
    ["prettier", prettier("--check")],
    ["clang-format", node(...clangFormat("--dry-run", "-Werror"))],
    ["eslint", eslint("--max-warnings", "0")],
    ["generated pages", node("scripts/generate-docs.mjs", "--check")],
  ],
  typecheck: () => [["tsc", node("node_modules/typescript/bin/tsc", "-p", "tsconfig.test.json")]],
  fix: () => [
    ["generated pages", node("scripts/generate-docs.mjs")],
    ["eslint", eslint("--fix")],
    ["prettier", prettier("--write")],
    ["clang-format", node(...clangFormat("-i"))],
  ],
};

const task = process.argv[2];
if (!Object.hasOwn(tasks, task) || !existsSync("node_modules") || !existsSync("dist")) {
  console.error(`usage: node scripts/check.mjs ${Object.keys(tasks).join(" | ")}, after npm run build`);
  process.exit(2);
}
// All of them run, so that one call shows everything there is to mend.
const failed = tasks[task]().filter(
  ([, [command, ...args]]) => spawnSync(command, args, { stdio: "inherit" }).status !== 0,
);
if (failed.length > 0) console.error(`${task}: ${failed.map(([name]) => name).join(", ")} failed`);
process.exit(failed.length > 0 ? 1 : 0);
