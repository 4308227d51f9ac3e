/** espalier logits: the model's raw output for token ids. */
import type { Command } from "commander";
import { EspalierError } from "../../errors.js";
import { addEngineOptions, openEngine, type EngineCliOptions } from "../open-engine.js";
import { idList } from "../options.js";
import { action } from "../run-command.js";

interface Options extends EngineCliOptions {
  ids: number[];
  all?: boolean;
}

const SHOWN = 10;

export function register(program: Command): void {
  const command = program
    .command("logits")
    .description("logits after the last token id, or after every one; needs no tokenizer")
    .argument("<model>", "engine directory, model directory or GGUF file")
    .requiredOption("--ids <list>", "token ids: 1,2,3", idList)
    .option("--all", "after every id, not only the last");
  addEngineOptions(command);
  command.addHelpText("after", "\nExample:\n  espalier logits smollm2.gguf --ids 1,2,3 --all --json");
  action(command, async (context, model: string, options: Options) => {
    await using engine = await openEngine(model, options, context);
    const rows = await engine.logits(options.ids, { all: options.all === true, signal: context.signal });
    if (rows.some((row) => row.some((value) => !Number.isFinite(value))))
      throw new EspalierError("ERR_NUMERIC", `${model}: logits: expected finite numbers, found NaN or infinity`);
    const first = options.all === true ? 0 : options.ids.length - 1;
    return {
      json: { logits: rows },
      text: rows.map((row, i) => summary(row, first + i)).join("\n"),
    };
  });
}

function summary(row: Float32Array, position: number): string {
  const best = Array.from(row.keys())
    .sort((a, b) => (row[b] as number) - (row[a] as number))
    .slice(0, SHOWN);
  return `position ${position}: ${best.map((id) => `${id} (${(row[id] as number).toFixed(4)})`).join(", ")}`;
}
