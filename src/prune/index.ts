export { prune, type PruneHooks, type PruneResult } from "./prune.js";
export { pruneOptionNames, resolvePruneOptions, type PruneOptions } from "./config.js";
export type { Candidate } from "./candidates.js";
export type { ContiguousBlocks, ImportanceScores } from "./scores.js";
export { candidateTable, describePruning } from "./report.js";
