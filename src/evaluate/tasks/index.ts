export { evaluateTasks, type TaskOptions, type TaskProgress, type TasksReport } from "./evaluate-tasks.js";
export { readTasks, type LoadedTask, type TaskFile } from "./read-tasks.js";
export { recoveryOf, type Recovery } from "./recovery.js";
export { findTask, tasks } from "./registry.js";
export type { Metric, Sample, TaskReport } from "./types.js";
