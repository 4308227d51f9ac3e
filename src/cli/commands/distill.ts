// SPDX-License-Identifier: Apache-2.0
/** espalier distill: train a student on its teacher's outputs. */
import { Option, type Command } from "commander";
import { distill, lossPolicies, type DistillOptions } from "../../distill/index.js";
import { action } from "../run-command.js";
import { addTrainFlags, showTraining, trainingSummary } from "./train.js";

const NOT_HERE = ["--recipe", "--config", "--tokenizer", "--teacher"];

export function register(program: Command): void {
  const command = program
    .command("distill")
    .description("train a student on its teacher's outputs; the same command again goes on where it stopped")
    .requiredOption("--student <model>", "model directory or GGUF file that is trained, as `prune` makes it")
    .requiredOption("--teacher <model>", "model directory or GGUF file that is learned from")
    .addOption(
      new Option(
        "--loss <policy>",
        "what is compared; auto: hidden states as well where 30 % of the layers or more were cut (default: auto)",
      ).choices(lossPolicies),
    );
  addTrainFlags(command, NOT_HERE);
  command.addHelpText(
    "after",
    "\nDefaults that differ from train's: --lr 1e-4, --min-lr 1e-5, --warmup 40 (a tenth of a run below 400 steps)." +
      "\n\nExample:\n  espalier distill --teacher SmolLM2-135M --student pruned --data corpus --steps 400 --out runs/student",
  );
  action(command, async (context, given: Record<string, unknown>) => {
    const { json: _json, ...options } = given;
    const result = await distill(options as unknown as DistillOptions, {
      signal: context.signal,
      onProgress: showTraining(context),
    });
    return result.rank > 0 ? { json: undefined, text: "" } : { json: result, text: trainingSummary(result) };
  });
}
