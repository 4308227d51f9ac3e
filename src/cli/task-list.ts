/** Tasks on the command line, and their scores as a table. */
import { InvalidArgumentError } from "commander";
import type { Recovery, TaskFile, TasksReport } from "../evaluate/index.js";
import { DASH } from "../report/format.js";
import { terminalTable } from "../report/terminal-table.js";

/** "arc_easy=FILE,piqa=FILE"; may be given several times. */
export function collectTasks(text: string, earlier: TaskFile[] | undefined): TaskFile[] {
  const files = text.split(",").map((item): TaskFile => {
    const at = item.indexOf("=");
    if (at < 1 || at === item.length - 1) throw new InvalidArgumentError(`expected TASK=FILE, found "${item}".`);
    return { task: item.slice(0, at), file: item.slice(at + 1) };
  });
  return [...(earlier ?? []), ...files];
}

export function scoreTable(report: TasksReport, recovery: Recovery | null): string {
  const heads = ["task", "metric", "documents", "shots", "score", "stderr", "recovery"];
  const columns = recovery === null ? heads.length - 1 : heads.length;
  const rows = Object.entries(report.tasks).flatMap(([task, { documents, shots, metrics }]) =>
    Object.entries(metrics).map(([metric, { value, stderr }]) => {
      const percent = recovery?.tasks[task]?.[metric] ?? null;
      const kept = percent === null ? DASH : `${percent.toFixed(1)} %`;
      const error = stderr === null ? DASH : stderr.toFixed(4);
      return [task, metric, String(documents), String(shots), value.toFixed(4), error, kept].slice(0, columns);
    }),
  );
  const mean = recovery?.mean ?? null;
  const table = terminalTable(heads.slice(0, columns), rows, 2);
  return mean === null ? table : `${table}\nrecovery ${mean.toFixed(1)} % (mean of the tasks)`;
}
