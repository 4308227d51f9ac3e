/** espalier build: pack a model into an engine. */
import type { Command } from "commander";
import { buildEngine } from "../../engine/index.js";
import { formatBytes } from "../format.js";
import { collectPair } from "../options.js";
import { action } from "../run-command.js";

interface Options {
  out: string;
  weights?: string;
  override?: Record<string, string>;
  rotation?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command("build")
    .description("build an engine for this machine from a model")
    .argument("<model>", "model directory (safetensors) or GGUF file")
    .requiredOption("--out <dir>", "engine directory to make; must not exist")
    .option(
      "--weights <format>",
      "f32, f16, bf16, int8 (weight only), int8-w8a8, int4-g64, nf4, fp8_e4m3 ... (espalier doctor lists all); quantized " +
        "weights of MODEL stay as they are, this is then for the others (default: int8-w8a8, of quantized models floats)",
    )
    .option(
      "--override <pattern=format>",
      "another format for matching tensors, * = anything (repeatable)",
      collectPair,
    );
  command.option("--rotation", "keep the residual stream rotated, which int8 activations need (default for int8-w8a8)");
  command.option("--no-rotation", "do not");
  command.addHelpText(
    "after",
    "\nExample:\n  espalier build SmolLM2-135M.gguf --weights int8-w8a8 --override 'lm_head*=f16' --out smollm2-int8",
  );
  action(command, async (context, model: string, options: Options) => {
    const report = await buildEngine(model, options.out, {
      ...(options.weights === undefined ? {} : { weights: options.weights }),
      overrides: options.override ?? {},
      ...(options.rotation === undefined ? {} : { rotation: options.rotation }),
      signal: context.signal,
      onProgress: ({ done, total, tensor }) => context.progress.update("packing", done, total, tensor),
    });
    const formats = Object.entries(report.formats).map(
      ([format, row]) => `  ${format.padEnd(10)} ${String(row.tensors).padStart(4)} tensors  ${formatBytes(row.bytes)}`,
    );
    const head = `${report.directory}: ${formatBytes(report.sizeBytes)}, ${(report.parameters / 1e6).toFixed(1)} M parameters, ${report.seconds.toFixed(1)} s`;
    const { dequantized } = report;
    const floats =
      dequantized.length === 0 ? [] : [`  no format holds the codes of ${dequantized.length}: packed as f16`];
    return { json: report, text: [head, ...formats, ...floats].join("\n") };
  });
}
