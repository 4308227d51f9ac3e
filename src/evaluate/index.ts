export {
  evaluatePerplexity,
  type PerplexityOptions,
  type PerplexityProgress,
  type PerplexityReport,
  type ScoringEngine,
} from "./perplexity.js";
