// npm run build | start | test as the first command in a fresh clone: installs, builds what changed, runs.
// No dependencies: it runs before any are installed.
import { build, buildNative, fail, run } from "./build-steps.mjs";

const verbs = {
  build: () => build(),
  "build:simde": () => {
    build();
    buildNative("simde");
  },
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
