/** espalier export: a model in another tool's files; src/export/targets.ts lists what. */
import { Option, type Command } from "commander";
import { openCheckpoint } from "../../checkpoint/index.js";
import { EspalierError } from "../../errors.js";
import type { ExportFlags } from "../../export/target.js";
import { exportTarget, exportTargets } from "../../export/targets.js";
import { action } from "../run-command.js";

export function register(program: Command): void {
  const targets = exportTargets.map(({ id, help }) => `${id}: ${help}`).join("; ");
  const command = program
    .command("export")
    .description("write a model (of a GGUF file, say) in the files of another tool")
    .argument("<model>", "model directory, .safetensors file or GGUF file")
    .addOption(new Option("--to <target>", targets).default("hf"))
    .option("--out <path>", "directory or file to make; must not exist")
    .option("--dtype <dtype>", "of hf and onnx: f32, f16 or bf16 (default: f32)");
  for (const target of exportTargets) target.addFlags?.(command);
  command.addHelpText(
    "after",
    "\nExample:\n  espalier export SmolLM2-135M-Instruct.Q4_1.gguf --dtype bf16 --out SmolLM2-135M\n" +
      "  espalier export SmolLM2-135M --to gguf --type q4_k\n" +
      "  espalier export SmolLM2-135M --to onnx --quantize int4 --group-size 64 --out SmolLM2-135M-onnx",
  );
  action(command, async (context, path: string, flags: ExportFlags & { to: string }) => {
    const target = exportTarget(flags.to);
    refuseForeignFlags(flags, target.flags);
    await using checkpoint = await openCheckpoint(path);
    const report = await target.run(checkpoint, flags, {
      signal: context.signal,
      onProgress: ({ bytesDone, bytesTotal }) => context.progress.update("writing", bytesDone, bytesTotal),
      warn: (text) => context.progress.say(`espalier: ${text}`),
    });
    return { json: report, text: target.describe(report) };
  });
}

/** A flag of another target would be passed over in silence. */
function refuseForeignFlags(flags: ExportFlags & { to: string }, own: readonly string[]): void {
  for (const flag of new Set(exportTargets.flatMap((target) => target.flags)))
    if (flags[flag] !== undefined && !own.includes(flag))
      throw new EspalierError(
        "ERR_ARGUMENT",
        `--${flag.replace(/[A-Z]/g, "-$&").toLowerCase()}: not with --to ${flags.to}`,
      );
}
