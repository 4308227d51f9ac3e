/**
 * The command line as commander sees it: one file a verb in commands/.
 */
import { Command } from "commander";
import { version } from "../version.js";
import { commands } from "./commands/index.js";

export function makeProgram(): Command {
  const program = new Command("espalier");
  program
    .description("Make a large language model small and fast: build an engine, run it, measure it.")
    .version(version)
    .showHelpAfterError("(--help shows the options)")
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, "espalier: ERR_USAGE:")) })
    .exitOverride()
    .addHelpText(
      "after",
      "\nExample:\n  espalier build SmolLM2-135M.gguf --weights int8-w8a8 --out smollm2-int8\n" +
        '  espalier generate smollm2-int8 "Why is the sky blue?"\n\nespalier VERB --help shows the options of a verb.',
    );
  for (const register of commands) register(program);
  for (const command of program.commands) command.exitOverride().showHelpAfterError("(--help shows the options)");
  return program;
}
