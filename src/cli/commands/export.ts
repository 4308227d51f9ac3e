/** espalier export: a model as a Hugging Face directory. */
import type { Command } from "commander";
import { exportHuggingFace, openCheckpoint } from "../../checkpoint/index.js";
import { action } from "../run-command.js";

interface Options {
  out: string;
  dtype: "f32" | "f16" | "bf16";
}

export function register(program: Command): void {
  const command = program
    .command("export")
    .description("write a model (of a GGUF file, say) as a Hugging Face directory that transformers loads")
    .argument("<model>", "model directory, .safetensors file or GGUF file")
    .requiredOption("--out <dir>", "directory to make; must not exist")
    .option("--dtype <dtype>", "f32, f16 or bf16", "f32")
    .addHelpText(
      "after",
      "\nExample:\n  espalier export SmolLM2-135M-Instruct.Q4_1.gguf --dtype bf16 --out SmolLM2-135M",
    );
  action(command, async (context, path: string, options: Options) => {
    await using checkpoint = await openCheckpoint(path);
    const report = await exportHuggingFace(checkpoint, options.out, {
      dtype: options.dtype,
      signal: context.signal,
      onProgress: ({ bytesDone, bytesTotal }) => context.progress.update("writing", bytesDone, bytesTotal),
    });
    return { json: report, text: `${report.path}: ${report.files.join(", ")}` };
  });
}
