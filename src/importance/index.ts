export {
  aggregations,
  aggregators,
  defaultAggregation,
  parseAggregation,
  type Aggregation,
  type Aggregator,
} from "./aggregate.js";
export type { ImportanceOptions } from "./config.js";
export {
  measureImportance,
  type ImportanceHooks,
  type ImportanceProgress,
  type ImportanceReport,
} from "./importance.js";
export { loadImportance, readManifest, readScores, type ImportanceManifest } from "./scores.js";
