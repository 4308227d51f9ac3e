// Fetches SmolLM2-135M-Instruct for the tests that run it, unless it is there. Needs a build.
import { pullSmolLm2 } from "../dist/pull/index.js";

try {
  const { path } = await pullSmolLm2({ onMessage: (message) => process.stderr.write(`espalier: ${message}\n`) });
  process.stderr.write(`espalier: SmolLM2 is at ${path}\n`);
} catch (error) {
  process.stderr.write(`espalier: ${error.code ?? "error"}: ${error.message}\n${error.hint ?? ""}\n`);
  process.exitCode = 1;
}
