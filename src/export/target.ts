// SPDX-License-Identifier: Apache-2.0
/** What every export target is made of. */
import type { Command } from "commander";
import type { Checkpoint } from "../checkpoint/types.js";
import { EspalierError } from "../errors.js";

/** What `espalier export` was given: --out, --dtype and the flags that targets added, by their long names. */
export interface ExportFlags {
  out?: string;
  dtype?: "f32" | "f16" | "bf16";
  [flag: string]: unknown;
}

export interface ExportContext {
  signal: AbortSignal;
  onProgress: (progress: { bytesDone: number; bytesTotal: number }) => void;
  /** Says something on standard error that the user should know. */
  warn: (text: string) => void;
}

export interface ExportReport {
  /** The file or directory that was made. */
  path: string;
}

export interface ExportTarget {
  /** What --to says. */
  id: string;
  /** Half a line for --help. */
  help: string;
  /** Adds the flags that only this target takes. */
  addFlags?: (command: Command) => unknown;
  /** Names of those flags, as commander gives them: they are refused with another target. */
  flags: readonly string[];
  run: (checkpoint: Checkpoint, flags: ExportFlags, context: ExportContext) => Promise<ExportReport>;
  /** One line of what was made. */
  describe: (report: ExportReport) => string;
}

/** --out, for targets that need it. */
export function requiredOut(flags: ExportFlags): string {
  if (flags.out !== undefined && flags.out !== "") return flags.out;
  throw new EspalierError("ERR_ARGUMENT", "--out: expected the path of what is made, found nothing");
}
