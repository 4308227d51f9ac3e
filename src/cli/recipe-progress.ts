// SPDX-License-Identifier: Apache-2.0
/** How a recipe's run is told: a line as a step begins and ends, and in between what its verb tells. */
import { summaryOf, type CompressProgress } from "../recipe/index.js";
import { showDistilling } from "./commands/distill.js";
import { showImportance } from "./commands/importance.js";
import { showWriting } from "./commands/synthesize.js";
import { showTraining } from "./commands/train.js";
import { formatCount } from "./format.js";
import type { CommandContext } from "./run-command.js";
import { showSearch } from "./search-flags.js";

type StepProgress = Extract<CompressProgress, { kind: "step" }>;

export function showRecipe(context: CommandContext): (progress: CompressProgress) => void {
  const showStep = stepShower(context);
  return (event) => {
    switch (event.kind) {
      case "begin": {
        const { name, verb, index, count, status } = event;
        const words = { cached: ": nothing has changed, kept", resume: ", going on", run: "" }[status];
        return context.progress.say(`[${index + 1}/${count}] ${name}: ${verb}${words}`);
      }
      case "step":
        return showStep(event);
      case "end": {
        const summary = summaryOf(event.verb, event.outcome);
        return context.progress.say(`  ${event.seconds.toFixed(1)} s${summary === "" ? "" : `: ${summary}`}`);
      }
    }
  };
}

function stepShower(context: CommandContext): (progress: StepProgress) => void {
  const { progress } = context;
  const training = showTraining(context);
  const distilling = showDistilling(context);
  const writing = showWriting(context);
  const importance = showImportance(context);
  const search = showSearch(context);
  return (told) => {
    switch (told.verb) {
      case "train":
        return training(told.event);
      case "distill":
        return distilling(told.event);
      case "synthesize":
        return writing(told.event);
      case "importance":
        return importance(told.event);
      case "pull":
        return progress.update("fetching", told.event.receivedBytes, told.event.totalBytes ?? 0, told.event.file);
      case "tokenize":
        if (told.event.stage === "waiting") return progress.say("another process is tokenizing here; waiting");
        return progress.update(
          "tokenizing",
          told.event.done,
          told.event.total,
          `${formatCount(told.event.tokens)} tokens`,
        );
      case "search":
        return search(told.event);
      case "prune":
        return progress.update("writing", told.event.bytesDone, told.event.bytesTotal);
      case "quantize":
        return progress.update("quantizing", told.event.done, told.event.total, told.event.tensor);
      case "build":
        return progress.update("building engine", told.event.done, told.event.total);
      case "perplexity":
        return progress.update("perplexity", told.event.done, told.event.total);
      case "tasks":
        return progress.update(told.event.task, told.event.done, told.event.total);
      case "bench":
        return progress.update(
          "bench",
          told.event.done,
          told.event.total,
          `ISL ${told.event.isl} OSL ${told.event.osl}`,
        );
    }
  };
}
