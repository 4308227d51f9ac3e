/** espalier: make a large language model small and fast. The public API. */
export {
  exportHuggingFace,
  inspectModel,
  openCheckpoint,
  readTensor,
  type Checkpoint,
  type ExportOptions,
  type ModelSummary,
} from "./checkpoint/index.js";
export { diagnose, type Diagnosis } from "./doctor.js";
export {
  buildEngine,
  Engine,
  Generation,
  Session,
  type BuildOptions,
  type BuildProgress,
  type BuildReport,
  type EngineLoadOptions,
  type EngineStats,
  type FinishReason,
  type GenerateOptions,
  type GeneratedToken,
  type GenerationChunk,
  type GenerationResult,
  type SamplingOptions,
  type SessionOptions,
} from "./engine/index.js";
export { EspalierError, errorTable, type ErrorCode } from "./errors.js";
export { evaluatePerplexity } from "./evaluate/index.js";
export { loadTokenizer, type ChatMessage, type Tokenizer } from "./tokenizer/index.js";
export { version } from "./version.js";
