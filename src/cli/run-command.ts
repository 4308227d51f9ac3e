/**
 * What every verb shares: --json, progress on standard error, Ctrl-C, coded errors and exit codes.
 */
import type { Command } from "commander";
import { EspalierError } from "../errors.js";
import { jsonPieces } from "./json-pieces.js";
import { Progress } from "./progress.js";

export interface CommandContext {
  /** Aborted by Ctrl-C or SIGTERM. */
  signal: AbortSignal;
  progress: Progress;
  json: boolean;
}

export interface CommandResult {
  /** What --json prints; undefined: nothing, another process does. */
  json: unknown;
  /** What is printed otherwise. */
  text: string;
}

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
export const EXIT_INTERRUPTED = 130;

/** Adds --json to a verb and wraps its action. */
export function action<Args extends unknown[]>(
  command: Command,
  body: (context: CommandContext, ...args: Args) => Promise<CommandResult>,
): void {
  command.option("--json", "print one JSON document on standard output and nothing else there");
  command.action(async (...all: unknown[]) => {
    const options = command.opts<{ json?: boolean }>();
    const args = all.slice(0, -1) as Args; // commander appends the command itself
    process.exitCode = await execute(options.json === true, (context) => body(context, ...args));
  });
}

async function execute(json: boolean, body: (context: CommandContext) => Promise<CommandResult>): Promise<number> {
  const controller = new AbortController();
  const progress = new Progress();
  let interrupts = 0;
  const onSignal = (): void => {
    interrupts += 1;
    if (interrupts > 1) process.exit(EXIT_INTERRUPTED); // asked twice: leave at once
    controller.abort();
  };
  // They stay until the process ends: a second Ctrl-C must not find the default handler while the last words are said.
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    const result = await body({ signal: controller.signal, progress, json });
    progress.end();
    if (json) await (result.json === undefined ? undefined : writeJson(result.json));
    else if (result.text !== "") await write(`${result.text}\n`);
    return 0;
  } catch (error) {
    progress.end();
    if (controller.signal.aborted) {
      if (json) await writeErrorJson(new EspalierError("ERR_ABORTED", "interrupted"));
      process.stderr.write("espalier: interrupted\n");
      return EXIT_INTERRUPTED;
    }
    await reportError(json, error);
    return isUsage(error) ? EXIT_USAGE : EXIT_FAILED;
  }
}

export async function reportError(json: boolean, error: unknown): Promise<void> {
  const known = error instanceof EspalierError;
  const code = known ? error.code : "ERR_INTERNAL";
  const message = error instanceof Error ? error.message : String(error);
  const hint = known ? error.hint : "";
  if (json) await writeJson({ error: { code, message, hint } });
  process.stderr.write(`espalier: ${code}: ${message}\n${hint === "" ? "" : `  ${hint}\n`}`);
  if (!known && error instanceof Error && process.env["ESPALIER_DEBUG"] !== undefined)
    process.stderr.write(`${error.stack}\n`);
}

/** A wrong argument that only the verb could find is wrong usage too. */
function isUsage(error: unknown): boolean {
  return error instanceof EspalierError && (error.code === "ERR_USAGE" || error.code === "ERR_ARGUMENT");
}

/** What --json prints when the failure is told elsewhere on standard error. */
export function writeErrorJson({ code, message, hint }: EspalierError): Promise<void> {
  return writeJson({ error: { code, message, hint } });
}

async function writeJson(value: unknown): Promise<void> {
  for (const piece of jsonPieces(value)) await write(piece);
  await write("\n");
}

/** Standard output may be a pipe that closes early (`| head`); that is no error of ours. */
function write(text: string): Promise<void> {
  if (text === "") return Promise.resolve();
  return new Promise((resolve) => process.stdout.write(text, () => resolve()));
}
