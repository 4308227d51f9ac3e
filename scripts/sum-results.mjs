// Adds up what .ci/run left in a folder: `steps` with a line "name status" a step, and jest's JSON results, named after
// their step. A step without a failed test that ended badly all the same counts as one failure; a step without tests
// that ended well as one pass.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2];
const results = readdirSync(folder).filter((name) => name.endsWith(".json"));
const total = { passed: 0, failed: 0, skipped: 0 };
const lines = readFileSync(join(folder, "steps"), "utf8").trim().split("\n");

for (const [name, status] of lines.map((line) => line.split(" "))) {
  const mine = results.filter((file) => file.replace(/(-simde)?\.json$/, "") === name.replaceAll(":", "-"));
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const file of mine) {
    const jest = JSON.parse(readFileSync(join(folder, file), "utf8"));
    count.passed += jest.numPassedTests;
    count.failed += jest.numFailedTests + jest.numRuntimeErrorTestSuites;
    count.skipped += jest.numPendingTests + jest.numTodoTests;
  }
  if (status !== "0" && count.failed === 0) count.failed = 1;
  if (status === "0" && mine.length === 0) count.passed = 1;
  console.log(`${name}: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
  for (const key of Object.keys(total)) total[key] += count[key];
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;
