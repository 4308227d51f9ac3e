import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { drawnModel, progressionBatch, tinySpec, trainerConfig } from "./tiny-model.js";

const spec = { ...tinySpec, hiddenSize: 64, intermediateSize: 200, numLayers: 4 };
const config = trainerConfig(drawnModel(spec), { sequenceLength: 64 });
const { sequences, length, tokens, labels } = progressionBatch(4, 64, spec.vocabSize);

const head = `
  import { binding } from ${JSON.stringify(pathToFileURL(join(__dirname, "../../../dist/binding.js")).href)};
  const batch = { sequences: ${sequences}, length: ${length},
    tokens: Int32Array.from(${JSON.stringify([...tokens])}), labels: Int32Array.from(${JSON.stringify([...labels])}) };
  const make = () => new binding.NativeTrainer(${JSON.stringify(config)});
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));`;

/** What a fresh Node prints that runs `body`. */
function inProcess(body: string): string {
  const args = ["--expose-gc", "--input-type=module", "-e", head + body];
  const child = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (child.status !== 0) throw new Error(`child ended with ${child.status} ${child.signal}: ${child.stderr}`);
  return child.stdout.trim();
}

describe("life of a NativeTrainer", () => {
  it("work under way keeps the process alive, an idle trainer does not", () => {
    const body = `make(); const t = make(); t.accumulate(batch).then(({ tokens }) => console.log(tokens));`;
    expect(inProcess(body)).toBe("256");
  });

  it("work goes on when nobody holds the trainer, and then it is collected with its thread", () => {
    const body = `
      for (let i = 0; i < 20; ++i) {
        let t = make();
        const work = t.accumulate(batch);
        t = undefined;
        gc();
        await work;
      }
      for (let i = 0; i < 10; ++i) { gc(); await pause(20); }
      console.log("done");`;
    expect(inProcess(body)).toBe("done");
  });

  it("works in worker threads, also when they are terminated in the middle of a step", () => {
    const body = `
      import { Worker } from "node:worker_threads";
      const code = \`
        import { parentPort, workerData } from "node:worker_threads";
        import(workerData.url).then(({ binding }) => {
          const trainer = new binding.NativeTrainer(workerData.config);
          for (let i = 0; i < 50; ++i) trainer.accumulate(workerData.batch);
          parentPort.postMessage("started");
          setInterval(() => {}, 1000);
        });\`;
      const config = ${JSON.stringify(config)};
      for (const wait of [0, 30, 100]) {
        const url = ${JSON.stringify(pathToFileURL(join(__dirname, "../../../dist/binding.js")).href)};
        const worker = new Worker(code, { eval: true, workerData: { url, config, batch } });
        await new Promise((resolve) => worker.once("message", resolve));
        await pause(wait);
        await worker.terminate();
      }
      console.log("done");`;
    expect(inProcess(body)).toBe("done");
  });

  it("an exit in the middle of a step is clean", () => {
    const body = `for (let i = 0; i < 50; ++i) make().accumulate(batch); setTimeout(() => process.exit(0), 20);`;
    expect(inProcess(body)).toBe("");
  });
});
