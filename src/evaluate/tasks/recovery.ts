/** How much of a reference model's scores another model keeps. */
import { findTask } from "./registry.js";
import type { TasksReport } from "./evaluate-tasks.js";

export interface Recovery {
  /** By task and metric: score / reference score in percent; null where the reference scores 0. */
  tasks: Record<string, Record<string, number | null>>;
  /** Of each task's first metric, over the tasks that have one. null: none has. */
  mean: number | null;
}

export function recoveryOf(report: TasksReport, reference: TasksReport): Recovery {
  const tasks: Recovery["tasks"] = {};
  const first: number[] = [];
  for (const [name, { metrics }] of Object.entries(report.tasks)) {
    const percent = (metric: string): number | null => {
      const of = reference.tasks[name]?.metrics[metric]?.value ?? 0;
      return of > 0 ? 100 * ((metrics[metric]?.value ?? 0) / of) : null;
    };
    tasks[name] = Object.fromEntries(Object.keys(metrics).map((metric) => [metric, percent(metric)]));
    const counts = tasks[name][findTask(name).metrics[0] as string] ?? null;
    if (counts !== null) first.push(counts);
  }
  return { tasks, mean: first.length > 0 ? first.reduce((sum, value) => sum + value, 0) / first.length : null };
}
