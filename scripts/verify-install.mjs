// Installs tarballs in an empty project, without a compiler, and uses them as a user would: require, import, command line.
import { execFileSync } from "node:child_process";
import { lstatSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Throws what went wrong. `model`: a small Hugging Face directory to build an engine from. */
export async function verifyInstall({ tarballs, packageName, version, model }) {
  const project = mkdtempSync(join(tmpdir(), "espalier-install-"));
  try {
    writeFileSync(join(project, "package.json"), JSON.stringify({ name: "user", private: true }));
    const run = runner(project);
    run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline", ...tarballs);
    refuseInstallScripts(project);
    check(run(process.execPath, "-p", "typeof require('espalier').Engine.load").trim(), "function", "require");
    const module = `import { version } from "espalier"; console.log(version);`;
    check(run(process.execPath, "--input-type=module", "-e", module).trim(), version, "import");
    const doctor = JSON.parse(run("npx", "--no", "espalier", "doctor", "--json"));
    check(doctor.addon, join(project, "node_modules", packageName, "espalier.node"), "doctor's addon");
    run("npx", "--no", "espalier", "build", model, "--out", "engine", "--weights", "int8-w8a8", "--json");
    const { logits } = JSON.parse(run("npx", "--no", "espalier", "logits", "engine", "--ids", "1,2,3", "--json"));
    check(logits.flat().every(Number.isFinite), true, "finite logits");
    // Without the sample texts: the model writes its own.
    const { steps } = JSON.parse(run("npx", "--no", "espalier", "quickstart", "--steps", "10", "--json"));
    check(steps.filter(({ verb }) => verb === "evaluate").length, 4, "the models that the quickstart measured");
    const sizes = ["node_modules/espalier", join("node_modules", packageName), "node_modules"];
    for (const path of sizes)
      console.log(`installed ${path}: ${(bytesOf(join(project, path)) / 2 ** 20).toFixed(1)} MiB`);
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
}

/** Runs a command in the project; compilers are replaced by `false`, and no variable of espalier's or npm's is passed on. */
function runner(cwd) {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(ESPALIER_|npm_package_|npm_lifecycle_|INIT_CWD)/.test(name),
  );
  const env = { ...Object.fromEntries(kept), CC: "false", CXX: "false", npm_config_ignore_scripts: "false" };
  return (command, ...args) =>
    execFileSync(command, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

function refuseInstallScripts(project) {
  const lock = JSON.parse(readFileSync(join(project, "node_modules/.package-lock.json"), "utf8"));
  const running = Object.entries(lock.packages).filter(([, entry]) => entry.hasInstallScript === true);
  check(running.map(([path]) => path).join(), "", "packages with install scripts");
}

function check(found, expected, what) {
  if (found !== expected) throw new Error(`${what}: expected ${expected}, found ${found}`);
}

function bytesOf(path) {
  const stat = lstatSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}
