export { resolveSearchOptions, type LightSearchOptions, type SearchOptions } from "./config.js";
export { rankingTable } from "./report.js";
export {
  searchPrune,
  type RankedCandidate,
  type SearchHooks,
  type SearchProgress,
  type SearchResult,
} from "./search.js";
export type { SearchOutcome } from "./state.js";
