/** The verb with the native trainer, as a user runs, kills and resumes it. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../../temporary.js";
import { metricsOf } from "../train/fixtures.js";
import { random } from "../train/toy-trainer.js";
import { writeTinyYaml, writeTokenData } from "../train/token-data.js";
import { espalier, main } from "./run.js";

/** Kills of one run; ESPALIER_KILLS=20 is what docs/results/training.md tells of. */
const KILLS = Number(process.env["ESPALIER_KILLS"] ?? 3);
const STEPS = 120;

let root: string;
let command: string[];

beforeAll(async () => {
  root = temporaryDirectory();
  const data = await writeTokenData(root);
  command = ["train", "--config", writeTinyYaml(root), "--data", data, "--split", "90,10,0"];
  command.push("--steps", String(STEPS), "--global-batch", "8", "--micro-batch", "4", "--seq-length", "32");
  command.push("--lr", "1e-2", "--warmup", "10", "--limit-val-batches", "1", "--val-check-interval", "20");
  command.push("--save-interval", "5");
});

const weights = (run: string): string => readFileSync(join(run, "model", "model.safetensors")).toString("base64");
const lasting = (run: string): object[] => metricsOf(run).map(({ tokens_per_second: _, ...line }) => line);

describe("espalier train", () => {
  let whole: string;

  it("trains a new model", async () => {
    whole = join(root, "whole");
    const { status, stdout, stderr } = await espalier([...command, "--out", whole, "--json"]);
    expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
    const result = JSON.parse(stdout) as { loss: number; valLoss: number; model: string };
    expect(result.valLoss).toBeLessThan(1.2); // a guess has ln 32 = 3.47
    expect(stderr).toMatch(/step \d+\/120 loss/);
    const logits = await espalier(["logits", result.model, "--ids", "1,5,16", "--json"], {
      env: { ESPALIER_CACHE: root },
    });
    expect(logits.status).toBe(0);
  });

  it(`ends with the same bits when killed ${KILLS} times at random moments`, async () => {
    const draw = random(Date.now() % 1e6);
    const check = async (run: string): Promise<void> => {
      const { status, stderr } = await espalier([...command, "--out", run]);
      expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
      expect(weights(run)).toBe(weights(whole));
      expect(lasting(run)).toEqual(lasting(whole));
      expect(readdirSync(join(run, "checkpoints")).filter((name) => name.startsWith("."))).toEqual([]);
    };
    let [kills, runs] = [0, 0];
    while (kills < KILLS) {
      const run = join(root, `killed-${++runs}`);
      while (kills < KILLS && (await killLater([...command, "--out", run], 300 + draw() * 900))) kills += 1;
      await check(run);
    }
  }, 300_000);

  it("saves and exits with 130 when interrupted, and goes on from there", async () => {
    const run = join(root, "interrupted");
    const stopped = await espalier([...command, "--out", run, "--save-interval", "1000"], { interruptAt: "step 1/" });
    expect(stopped.status).toBe(130);
    expect(stopped.stderr).toContain("the same command goes on from there");
    expect(existsSync(join(run, "model"))).toBe(false);
    const { status, stderr } = await espalier([...command, "--out", run, "--save-interval", "1000"]);
    expect(status).toBe(0);
    expect(stderr).toContain("going on from");
    expect(weights(run)).toBe(weights(whole));
  });

  it("makes a run again from its recipe, with changes", async () => {
    const recipe = join(whole, "recipe.yaml");
    const run = join(root, "again");
    expect((await espalier(["train", "--recipe", recipe, "--out", run])).status).toBe(0);
    expect(weights(run)).toBe(weights(whole));
    const short = await espalier(["train", "--recipe", recipe, "--out", join(root, "short"), "--steps", "2", "--json"]);
    expect(JSON.parse(short.stdout)).toMatchObject({ error: { code: "ERR_ARGUMENT" } }); // its warm-up has 10 steps
    const wrong = await espalier(["train", "--recipe", join(root, "tiny.yaml"), "--out", run, "--json"]);
    expect(JSON.parse(wrong.stdout)).toMatchObject({ error: { code: "ERR_RECIPE" } });
  });

  it("learns from a teacher's logits and hidden states", async () => {
    const out = join(root, "student");
    const losses = ["--kd-loss", "jsd", "--jsd-beta", "0.3", "--temperature", "2", "--temperature-squared"];
    losses.push("--intermediate-loss", "cosine", "--intermediate-balance", "static", "--intermediate-weight", "0.5");
    losses.push("--intermediate-layer-pairs", "-1:-1,1:1", "--teacher", join(whole, "model"), "--out", out);
    const { status, stderr } = await espalier([...command, ...losses, "--steps", "12"]);
    expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
    const { loss, logits_loss = NaN, intermediate_loss = NaN } = metricsOf(out).at(-1) ?? {};
    expect(loss).toBeCloseTo(4 * (logits_loss ?? NaN) + 0.5 * (intermediate_loss ?? NaN), 4);
    const recipe = readFileSync(join(out, "recipe.yaml"), "utf8");
    expect(recipe).toContain("intermediateLoss: cosine");
    expect((await espalier(["train", "--recipe", join(out, "recipe.yaml"), "--out", out])).status).toBe(0);
  });

  it("draws several runs on one page, from their directories or a report.json", async () => {
    const page = join(root, "curves.html");
    const both = await espalier(["report", whole, join(root, "interrupted"), "--out", page]);
    expect(both.status).toBe(0);
    expect(readFileSync(page, "utf8")).toContain("2 training runs");
    expect((await espalier(["report", join(whole, "report.json"), "--out", page, "--json"])).status).toBe(0);
    expect(readFileSync(page, "utf8")).toBe(readFileSync(join(whole, "report.html"), "utf8"));
    const log = join(whole, "metrics.jsonl");
    const before = readFileSync(log);
    const over = await espalier(["report", whole, "--out", log]);
    expect([over.status, over.stderr]).toEqual([
      1,
      expect.stringMatching(/ERR_OUTPUT_EXISTS: .*only a page is replaced/),
    ]);
    expect(readFileSync(log).equals(before)).toBe(true);
    const wrong = await espalier(["report", whole, root, "--out", page, "--json"]);
    expect((JSON.parse(wrong.stdout) as { error: { code: string } }).error.code).toBe("ERR_RUN_NOT_FOUND");
  });

  it("tells wrong use and wrong files with codes", async () => {
    const out = join(root, "bad");
    const cases: [string[], number, string][] = [
      [["--micro-batch", "3"], 2, "ERR_ARGUMENT"],
      [["--lr", "fast"], 2, "ERR_USAGE"],
      [["--intermediate-layer-pairs", "1-2"], 2, "ERR_USAGE"],
      [["--intermediate-layer-pairs", "1:1"], 2, "ERR_ARGUMENT"],
      [["--kd-loss", "kld"], 2, "ERR_ARGUMENT"],
      [["--data", join(root, "nowhere")], 1, "ERR_DATA"],
      [["--config", join(root, "nowhere.yaml")], 1, "ERR_FILE_OPEN"],
      [["--tokenizer", root], 1, "ERR_TOKENIZER_MISSING"],
      [["--lr", "1e30", "--min-lr", "1e30"], 1, "ERR_TRAIN_DIVERGED"],
    ];
    for (const [change, status, code] of cases) {
      const run = await espalier([...command, "--out", out, ...change, "--json", "--overwrite"]);
      expect({ change, status: run.status, out: run.stdout }).toMatchObject({ change, status });
      expect((JSON.parse(run.stdout) as { error: { code: string } }).error.code).toContain(code);
    }
  });
});

/** Starts the command and kills it after a while; whether it was still running. */
function killLater(args: string[], delayMs: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { stdio: "ignore" });
    const timer = setTimeout(() => child.kill("SIGKILL"), delayMs);
    child.on("error", reject).on("exit", (_, signal) => {
      clearTimeout(timer);
      resolve(signal === "SIGKILL");
    });
  });
}
