import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { binding } from "../../../src/binding.js";
import { itWithMpi, mpirun } from "../../mpi.js";
import { temporaryDirectory } from "../../temporary.js";

const dist = pathToFileURL(join(__dirname, "../../../dist/binding.js")).href;
const script = (name: string, body: string): string => {
  const path = join(temporaryDirectory(), `${name}.mjs`);
  writeFileSync(path, `import { binding } from ${JSON.stringify(dist)};\n${body}`);
  return path;
};

it("is null for a process that is alone", () => {
  expect(binding.openCommunicator()).toBeNull();
});

itWithMpi("sums and broadcasts over the ranks of a run", async () => {
  const path = script(
    "ranks",
    `const ranks = binding.openCommunicator();
     if (ranks.rank !== binding.openCommunicator().rank) throw new Error("opened twice, another rank");
     const values = new Float64Array([1, ranks.rank + 1, 0.1]);
     await ranks.sum(values);
     const bytes = new Uint8Array([ranks.rank * 7 + 1, 5]);
     await ranks.broadcast(bytes);
     const refused = (() => { try { ranks.sum([1]); } catch (error) { return error.code; } })();
     ranks.leave();
     console.log(JSON.stringify([ranks.rank, ranks.size, [...values], [...bytes], refused]));`,
  );
  const { stdout } = await mpirun(3, [path]);
  const lines = stdout.trim().split("\n").sort();
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
    [0, 1, 2].map((rank) => [rank, 3, [3, 6, 0.1 + 0.1 + 0.1], [1, 5], "ERR_ARGUMENT"]),
  );
});

it("names the library that is missing or is another", async () => {
  const path = script(
    "missing",
    "try { binding.openCommunicator(); } catch (error) { console.log(JSON.stringify([error.code, error.message, error.hint])); }",
  );
  for (const [library, message] of [
    ["/nowhere/libmpi.so", /cannot be opened: .*nowhere/],
    ["libm.so.6", /libm\.so\.6: expected Open MPI's library/],
  ] as const) {
    const env = { ...process.env, PMI_RANK: "0", ESPALIER_MPI_LIBRARY: library };
    const { stdout } = await promisify(execFile)(process.execPath, [path], { env });
    const [code, text, hint] = JSON.parse(stdout) as string[];
    expect([code, text]).toEqual(["ERR_MPI", expect.stringMatching(message)]);
    expect(hint).toContain("ESPALIER_MPI_LIBRARY");
  }
});
