export { aggregations, aggregators, defaultAggregation, type Aggregation, type Aggregator } from "./aggregate.js";
export type { ImportanceOptions } from "./config.js";
export { measureImportance, type ImportanceHooks, type ImportanceProgress, type ImportanceReport } from "./importance.js";
export { readManifest, readScores, type ImportanceManifest } from "./scores.js";
