/**
 * Reads the files of tasks: one JSON object a line.
 */
import { readFile } from "node:fs/promises";
import { EspalierError } from "../../errors.js";
import { Fields } from "./fields.js";
import { findTask } from "./registry.js";
import type { ChoiceDocument, ChoiceTask, GenerateDocument, GenerateTask } from "./types.js";

export interface TaskFile {
  /** Name of the task: "arc_easy". */
  task: string;
  /** JSON lines. */
  file: string;
  /** Where examples come from. Default: the same file, without the document that is asked. */
  shotsFile?: string | undefined;
}

/** A document, and the line it came from in a form that compares. */
export interface Line<Document> {
  document: Document;
  key: string;
  /** "file.jsonl:12" */
  where: string;
}

/** A task and what its file holds. */
export interface Loaded<Task, Document> {
  task: Task;
  file: string;
  lines: Line<Document>[];
  /** Examples come from these. */
  pool: Line<Document>[];
  /** The pool is the file itself. */
  ownPool: boolean;
}

export type LoadedTask = Loaded<ChoiceTask, ChoiceDocument> | Loaded<GenerateTask, GenerateDocument>;

/**
 * Reads and checks every line. ERR_TASK_UNKNOWN, ERR_TASK_FIELD, ERR_TASK_GOLD, ERR_TASK_EMPTY and ERR_FILE_READ name
 * the file and the line.
 * @example const tasks = await readTasks([{ task: "arc_easy", file: "arc_easy.jsonl" }]);
 */
export async function readTasks(files: readonly TaskFile[]): Promise<LoadedTask[]> {
  const rows = files.map(({ task }) => findTask(task));
  const twice = rows.find((row, index) => rows.indexOf(row) !== index);
  if (twice !== undefined)
    throw new EspalierError("ERR_ARGUMENT", `tasks: expected each task once, found ${twice.name} twice`);
  const loaded: LoadedTask[] = [];
  for (const [index, row] of rows.entries()) {
    const file = files[index] as TaskFile;
    loaded.push(
      row.kind === "choice"
        ? await load<ChoiceDocument, ChoiceTask>(row, file)
        : await load<GenerateDocument, GenerateTask>(row, file),
    );
  }
  return loaded;
}

async function load<Document, Task extends { read(fields: Fields): Document }>(
  task: Task,
  { file, shotsFile }: TaskFile,
): Promise<Loaded<Task, Document>> {
  const lines = await readLines(file, task);
  const pool = shotsFile === undefined ? lines : await readLines(shotsFile, task);
  return { task, file, lines, pool, ownPool: shotsFile === undefined };
}

async function readLines<Document>(file: string, task: { read(fields: Fields): Document }): Promise<Line<Document>[]> {
  const lines: Line<Document>[] = [];
  for (const [index, line] of (await readText(file)).split("\n").entries()) {
    if (line.trim() === "") continue;
    const where = `${file}:${index + 1}`;
    const value = parse(line, where);
    lines.push({ document: task.read(new Fields(value, where)), key: JSON.stringify(value), where });
  }
  if (lines.length > 0) return lines;
  throw new EspalierError("ERR_TASK_EMPTY", `${file}: expected at least one document, found none`);
}

async function readText(file: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(file));
  } catch (cause) {
    const found = cause instanceof TypeError ? "expected UTF-8 text" : (cause as Error).message;
    throw new EspalierError("ERR_FILE_READ", `${file}: ${found}`, { cause });
  }
}

function parse(line: string, where: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new EspalierError("ERR_JSON", `${where}: ${(cause as Error).message}`, { cause });
  }
}
