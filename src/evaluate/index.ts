export {
  evaluatePerplexity,
  type PerplexityOptions,
  type PerplexityProgress,
  type PerplexityReport,
  type ScoringEngine,
} from "./perplexity.js";
export {
  evaluateTasks,
  findTask,
  readTasks,
  recoveryOf,
  tasks,
  type LoadedTask,
  type Recovery,
  type Sample,
  type TaskFile,
  type TaskOptions,
  type TaskProgress,
  type TaskReport,
  type TasksReport,
} from "./tasks/index.js";
