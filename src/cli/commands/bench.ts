/** espalier bench: speed at combinations of input length, output length and batch. */
import type { Command } from "commander";
import { bench, type BenchOptions } from "../../bench/index.js";
import { benchTable } from "../../report/index.js";
import { addKernelOptions, engineDirectory, type EngineCliOptions } from "../open-engine.js";
import { batchList, numberList, positiveNumber, wholeNumber } from "../options.js";
import { benchReport, checkWritable, writeReportFiles } from "../report-data.js";
import { action, type CommandContext } from "../run-command.js";

interface Options extends EngineCliOptions {
  isl: number[];
  osl: number[];
  batch: (number | "auto")[];
  repeats: number;
  warmup: number;
  compare?: string;
  html?: string;
}

export function register(program: Command): void {
  const command = program
    .command("bench")
    .description("measure time to first token, tokens per second and memory at ISL × OSL × batch")
    .argument("<model>", "engine directory, model directory or GGUF file")
    .option("--isl <list>", "prompt lengths", numberList, [128, 512])
    .option("--osl <list>", "output lengths, end of sequence ignored", numberList, [32, 128])
    .option("--batch <list>", "requests handed in together; auto = the most that fit", batchList, [1])
    .option("--repeats <n>", "measured runs of every cell", positiveNumber, 5)
    .option("--warmup <n>", "runs before them", wholeNumber, 1)
    .option("--compare <model>", "a second engine or model, measured turn by turn; prints ratios with their spread")
    .option("--html <file>", "also write a report page, and its data as .json beside it");
  addKernelOptions(command);
  command.addHelpText(
    "after",
    "\nExample:\n  espalier bench smollm2-int8 --isl 128,512 --osl 32,128 --batch 1,8 --compare smollm2-f32 --html report.html",
  );
  action(command, async (context, model: string, options: Options) => {
    if (options.html !== undefined) await checkWritable(options.html);
    const directory = await engineDirectory(model, options, context);
    const compare =
      options.compare === undefined ? undefined : await engineDirectory(options.compare, options, context);
    const cells = await bench(directory, benchOptions(options, compare, context));
    if (options.html !== undefined) {
      const commands = [`espalier ${process.argv.slice(2).join(" ")}`];
      const engines = [directory, ...(compare === undefined ? [] : [compare])];
      const data = await writeReportFiles(await benchReport(engines, cells, commands), options.html);
      context.progress.say(`report: ${options.html}, its data: ${data}`);
    }
    return { json: cells, text: benchTable(cells) };
  });
}

function benchOptions(options: Options, compare: string | undefined, context: CommandContext): BenchOptions {
  return {
    isl: options.isl,
    osl: options.osl,
    batch: options.batch,
    repeats: options.repeats,
    warmup: options.warmup,
    ...(compare === undefined ? {} : { compare }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(options.isa === undefined ? {} : { isa: options.isa }),
    ...(options.kvDtype === undefined ? {} : { kvDtype: options.kvDtype }),
    signal: context.signal,
    onProgress: ({ done, total, isl, osl, batch }) =>
      context.progress.update("bench", done, total, `ISL ${isl} OSL ${osl} batch ${batch}`),
  };
}
