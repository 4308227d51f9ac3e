#!/usr/bin/env node
/**
 * The `espalier` command: parses, runs, and sets the exit code.
 */
import { CommanderError } from "commander";
import { EspalierError } from "../errors.js";
import { EXIT_FAILED, EXIT_USAGE, reportError, writeErrorJson } from "./run-command.js";

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
    if (json) await writeErrorJson(new EspalierError("ERR_USAGE", error.message.replace(/^error: /, "")));
    return EXIT_USAGE; // commander has told the rest on standard error
  }
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0); // the reader of a pipe went away
  const code = error.code === "ENOSPC" ? "ERR_DISK_FULL" : "ERR_FILE_WRITE";
  process.stderr.write(`espalier: ${code}: standard output: ${error.message}\n`);
  process.exit(EXIT_FAILED);
});
process.stderr.on("error", () => {}); // nobody reads progress any more; the work goes on
void main(process.argv.slice(2)).then((status) => (process.exitCode = status));
