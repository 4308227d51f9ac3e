// SPDX-License-Identifier: Apache-2.0
/** espalier distill: train a student on its teacher's outputs. */
import { Option, type Command } from "commander";
import {
  cacheTeacherLogits,
  distill,
  lossPolicies,
  type CacheOptions,
  type CachePlan,
  type CacheReport,
  type DistillOptions,
  type DistillProgress,
} from "../../distill/index.js";
import { EspalierError } from "../../errors.js";
import { formatBytes, formatCount } from "../format.js";
import { byteSize, positiveNumber } from "../options.js";
import { action, type CommandContext } from "../run-command.js";
import { addTrainFlags, duration, showTraining, trainingSummary } from "./train.js";

const NOT_HERE = ["--recipe", "--config", "--tokenizer", "--teacher", "--teacher-logits"];

export function register(program: Command): void {
  const command = program
    .command("distill")
    .description("train a student on its teacher's outputs; the same command again goes on where it stopped")
    .option("--student <model>", "model directory or GGUF file that is trained, as `prune` makes it")
    .option("--teacher <model>", "model directory or GGUF file that is learned from; into a cache an engine too")
    .addOption(
      new Option(
        "--loss <policy>",
        "what is compared; auto: hidden states as well where 30 % of the layers or more were cut (default: auto)",
      ).choices(lossPolicies),
    )
    .option("--cache-teacher <dir>", "learn from the teacher's largest logits, kept in DIR: made when it is not there")
    .option("--cache-top-k <n>", "logits kept of every token (default: 128)", positiveNumber)
    .option("--cache-disk <size>", "refuse a cache larger than this: 20GB (default: what is free)", byteSize)
    .option("--cache-only", "make the cache, or check the one that is there, and train nothing");
  addTrainFlags(command, NOT_HERE);
  command.addHelpText(
    "after",
    "\nDefaults that differ from train's: --lr 1e-4, --min-lr 1e-5, --warmup 40 (a tenth of a run below 400 steps)." +
      "\n\nA cache holds what the steps, batches, data, split and seed given take of the teacher; other students, and shorter\n" +
      "runs, learn from it without --teacher. It says beforehand what it takes: of each token, 6 bytes a logit (8 where the\n" +
      "vocabulary has more than 65,536) and 4. Its loss is that of --top-k; --kd-loss kl-tail counts the rest besides; hidden states and mft need the teacher itself." +
      "\n\nExample:\n  espalier distill --teacher SmolLM2-135M --student pruned --data corpus --steps 400 --out runs/student" +
      "\n  espalier distill --teacher SmolLM2-135M --cache-teacher logits --cache-only --data corpus --steps 400" +
      "\n  espalier distill --cache-teacher logits --student pruned --data corpus --steps 400 --out runs/student",
  );
  action(command, async (context, given: Record<string, unknown>) => {
    const { json: _json, cacheOnly, ...options } = given;
    const hooks = { signal: context.signal, onProgress: showDistilling(context) };
    if (cacheOnly === true) {
      const report = await cacheTeacherLogits(cacheOptions(options), hooks);
      return { json: report, text: cacheSummary(report) };
    }
    const result = await distill(options as unknown as DistillOptions, hooks);
    return result.rank > 0 ? { json: undefined, text: "" } : { json: result, text: trainingSummary(result) };
  });
}

/** A cache is no student's: what only a run has is refused, not passed over. */
function cacheOptions({ student, loss, out, ...options }: Record<string, unknown>): CacheOptions {
  for (const [name, value] of Object.entries({ "--student": student, "--loss": loss, "--out": out }))
    if (value !== undefined) throw new EspalierError("ERR_ARGUMENT", `${name}: nothing is trained with --cache-only`);
  return options as unknown as CacheOptions;
}

/** Tells on the terminal how a distillation goes. */
export function showDistilling(context: CommandContext): (event: DistillProgress) => void {
  const { progress } = context;
  const showTrain = showTraining(context);
  return (event) => {
    if (event.kind === "cachePlan") return progress.say(planText(event));
    if (event.kind === "cacheResumed") return progress.say(`going on after sample ${event.samples}`);
    if (event.kind !== "cache") return showTrain(event);
    return progress.update("teacher", event.done, event.total, `ETA ${duration(event.etaSeconds)}`);
  };
}

function planText({ topK, samples, validationSamples, seqLength, bytes, freeBytes, directory }: CachePlan): string {
  const of = `${formatCount(samples)} + ${formatCount(validationSamples)} samples of ${seqLength} tokens`;
  return (
    `${directory}: the teacher's ${topK} largest logits for ${of} take ${formatBytes(bytes)}; ` +
    `${formatBytes(freeBytes)} are free`
  );
}

function cacheSummary({ directory, topK, bytes, coverage, reused, seconds, teacher }: CacheReport): string {
  const percent = (part: number): string => `${(100 * part).toFixed(2)} %`;
  return (
    `${directory}: ${reused ? "is there and fits" : `${formatBytes(bytes)} in ${duration(seconds)}`}; the ${topK} largest ` +
    `logits of ${teacher.name} have ${percent(coverage.mean)} of its probability (least ${percent(coverage.least)})`
  );
}
