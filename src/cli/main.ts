#!/usr/bin/env node
/**
 * The `espalier` command: parses, runs, and sets the exit code.
 */
import { CommanderError } from "commander";
import { EXIT_FAILED, EXIT_USAGE, reportError } from "./run-command.js";

/** Runs one command line; gives the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const json = argv.includes("--json");
  try {
    // Imported here: it opens the addon, and when that fails the user gets the coded error and no stack.
    const { makeProgram } = await import("./program.js");
    await makeProgram().parseAsync([...argv], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      await reportError(json, error);
      return EXIT_FAILED;
    }
    if (error.exitCode === 0) return 0; // --help, --version
    if (json) {
      const failure = { error: { code: "ERR_USAGE", message: error.message, hint: "Run with --help." } };
      process.stdout.write(`${JSON.stringify(failure, null, 2)}\n`);
    }
    return EXIT_USAGE;
  }
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0); // the reader of a pipe went away
  throw error;
});
void main(process.argv.slice(2)).then((status) => (process.exitCode = status));
