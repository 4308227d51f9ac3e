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
    .exitOverride();
  for (const register of commands) register(program);
  for (const command of program.commands) command.exitOverride().showHelpAfterError("(--help shows the options)");
  return program;
}
