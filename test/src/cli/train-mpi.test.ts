/** `mpirun -n 2 espalier train` against the same command alone. */
import { cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openCheckpoint, readTensor } from "../../../src/checkpoint/index.js";
import { itWithMpi, mpirun } from "../../mpi.js";
import { temporaryDirectory } from "../../temporary.js";
import { lastingMetrics } from "../train/fixtures.js";
import { tinyFields, writeTinyYaml, writeTokenData } from "../train/token-data.js";
import { espalier, main } from "./run.js";

const directory = temporaryDirectory();

async function weights(run: string): Promise<Float32Array> {
  await using checkpoint = await openCheckpoint(join(run, "model"));
  const tensor = checkpoint.tensors.get("model.layers.1.mlp.down_proj.weight");
  if (tensor === undefined) throw new Error("no down_proj");
  return readTensor(tensor);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? NaN))));
}

itWithMpi(
  "gives one process's result within rounding, and goes on with a checkpoint of another number of processes",
  async () => {
    const data = await writeTokenData(directory);
    const train = (out: string): string[] => [
      ...["train", "--config", writeTinyYaml(directory), "--data", data, "--steps", "60"],
      ...["--global-batch", "8", "--micro-batch", "2", "--seq-length", "32", "--lr", "1e-2", "--schedule", "constant"],
      ...["--split", "90,10,0", "--val-check-interval", "5", "--limit-val-batches", "3", "--threads", "1"],
      ...["--save-interval", "10", "--save-top-k", "9", "--out", out, "--json"],
    ];
    const [alone, together, mixed] = ["alone", "together", "mixed"].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    expect((await espalier(train(alone))).status).toBe(0);
    const { stdout } = await mpirun(2, [main, ...train(together)]);
    expect(JSON.parse(stdout)).toMatchObject({ rank: 0, steps: 60, consumedSamples: 480 }); // one document, of rank 0
    const names = (run: string): string[] =>
      readdirSync(run)
        .map((name) => name.replace(/^(events)\..*/, "$1"))
        .sort();
    expect(names(together)).toEqual(names(alone));
    expect(largestDifference(await weights(alone), await weights(together))).toBeLessThan(1e-5);
    const [one, two] = [lastingMetrics(alone), lastingMetrics(together)] as [Figures[], Figures[]];
    for (const [i, { loss, val_loss }] of one.entries()) {
      expect(two[i]?.loss).toBeCloseTo(loss, 4);
      if (val_loss !== undefined) expect(two[i]?.val_loss).toBeCloseTo(val_loss, 4);
    }
    // As if the run of two had been killed after its third checkpoint.
    cpSync(together, mixed, { recursive: true });
    for (const name of ["model", "checkpoints/step_0000040", "checkpoints/step_0000050", "checkpoints/step_0000060"])
      rmSync(join(mixed, name), { recursive: true });
    const resumed = await espalier(train(mixed));
    expect(resumed.stderr).not.toContain("ERR_");
    expect(JSON.parse(resumed.stdout)).toMatchObject({ steps: 60, resumedFrom: 30 });
    expect(resumed.stderr).toContain("begun by 2 processes, goes on with 1");
    expect(largestDifference(await weights(alone), await weights(mixed))).toBeLessThan(1e-5);
  },
  120_000,
);

itWithMpi("learns from a teacher's hidden states through one projection, as one process does", async () => {
  const data = await writeTokenData(directory);
  const common = ["--data", data, "--global-batch", "8", "--micro-batch", "2", "--seq-length", "32", "--lr", "1e-2"];
  common.push("--split", "90,10,0", "--limit-val-batches", "3", "--threads", "1", "--json");
  const config = join(directory, "teacher.json");
  writeFileSync(
    config,
    JSON.stringify({ ...tinyFields, hidden_size: 48, num_attention_heads: 6, num_hidden_layers: 3 }),
  );
  const teacher = join(directory, "teacher");
  expect((await espalier(["train", "--config", config, ...common, "--steps", "20", "--out", teacher])).status).toBe(0);
  const student = (out: string): string[] => [
    ...["train", "--config", writeTinyYaml(directory), ...common, "--steps", "12", "--teacher", join(teacher, "model")],
    ...["--intermediate-loss", "cosine", "--ce-weight", "0.3", "--out", join(directory, out)],
  ];
  expect((await espalier(student("student alone"))).status).toBe(0);
  await mpirun(2, [main, ...student("student together")]);
  const [one, two] = ["student alone", "student together"].map((run) => lastingMetrics(join(directory, run)));
  const figures = (lines: object[] | undefined): [string, number][] =>
    (lines ?? []).flatMap((line, i) =>
      Object.entries(line).map(([name, value]): [string, number] => [`${name} ${i}`, value as number]),
    );
  const others = new Map(figures(two));
  expect(figures(one).map(([name]) => name)).toContain("val_intermediate_loss 11");
  for (const [name, value] of figures(one))
    expect([name, Math.abs(value - (others.get(name) ?? NaN)) < 1e-4]).toEqual([name, true]);
});

itWithMpi("refuses a global batch that cannot be shared out", async () => {
  const data = await writeTokenData(temporaryDirectory());
  const args = ["train", "--config", writeTinyYaml(directory), "--data", data, "--steps", "1", "--global-batch", "6"];
  const run = mpirun(2, [main, ...args, "--micro-batch", "2", "--out", join(directory, "odd")]);
  await expect(run).rejects.toThrow(/expected a multiple of micro batch x processes \(2 x 2\), found 6/);
});

interface Figures {
  loss: number;
  val_loss?: number;
}
