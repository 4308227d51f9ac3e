// npm run build | start | test as the first command in a fresh clone: installs, builds what changed, runs.
// No dependencies: it runs before any are installed.
import { spawnSync } from "node:child_process";
import { build, buildNative, fail, productOf, run, say } from "./build-steps.mjs";

/** ISA levels this CPU cannot run though it runs AVX2. ESPALIER_TEST_SIMDE=1 takes AVX-512 for missing. */
async function missingIsas() {
  const { binding } = await import("../dist/binding.js");
  const { isas } = binding.cpuInfo();
  if (!isas.includes("avx2")) return [];
  const here = process.env.ESPALIER_TEST_SIMDE === "1" ? ["avx2"] : isas;
  return ["avx512", "avx512_bf16"].filter((isa) => !here.includes(isa));
}

/** Whether SIMDe's headers are there to stand in for missing instructions; says how to get them when not. */
function canSimulate(missing) {
  const args = ["-fsyntax-only", "-x", "c++", "-"];
  const compiler = spawnSync(process.env.CXX ?? "g++", args, { input: "#include <simde/x86/avx512.h>\n" });
  if (compiler.status === 0) return true;
  say(`this CPU lacks ${missing.join(" and ")}: their kernels are skipped. To test them all the same:`);
  say("  Debian/Ubuntu: sudo apt-get install libsimde-dev");
  return false;
}

const verbs = {
  build: () => build(),
  "build:simde": () => {
    build();
    buildNative("simde");
  },
  test: async (args) => {
    build();
    const missing = await missingIsas();
    const simulate = missing.length > 0 && canSimulate(missing);
    const jest = ["node_modules/jest/bin/jest.js", ...args];
    run(process.execPath, jest, { env: simulate ? { ESPALIER_SIMULATED: missing.join() } : {} });
    // Named tests only: the user wants these, not all kernels again.
    if (!simulate || args.some((arg) => !arg.startsWith("-"))) return;
    buildNative("simde");
    say(`testing ${missing.join(" and ")} through SIMDe`);
    const again = jest.map((arg) => arg.replace(/^(--outputFile=.*)\.json$/, "$1-simde.json"));
    run(process.execPath, [...again, "test/native/kernels"], { env: { ESPALIER_BINDING: productOf("simde") } });
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
await verbs[verb](args);
