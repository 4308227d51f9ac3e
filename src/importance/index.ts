export {
  aggregations,
  aggregators,
  defaultAggregation,
  parseAggregation,
  type Aggregation,
  type Aggregator,
} from "./aggregate.js";
export { importanceOptionNames, resolveImportanceOptions, type ImportanceOptions } from "./config.js";
export {
  measureImportance,
  type ImportanceHooks,
  type ImportanceProgress,
  type ImportanceReport,
} from "./importance.js";
export { importanceFigures, importanceReport } from "./report.js";
export { isScoresDirectory, loadImportance, readManifest, readScores, type ImportanceManifest } from "./scores.js";
