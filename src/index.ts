/** espalier: make a large language model small and fast. The public API. */
export { bench, type BenchCell, type BenchOptions, type BenchProgress } from "./bench/index.js";
export {
  exportHuggingFace,
  inspectModel,
  openCheckpoint,
  readTensor,
  type Checkpoint,
  type ExportOptions,
  type ModelSummary,
} from "./checkpoint/index.js";
export {
  openBatchStream,
  openGptDataset,
  tokenizeCorpus,
  trainTokenizer,
  type DatasetSplits,
  type GptDatasetOptions,
  type TokenizeOptions,
  type TokenizeReport,
  type TrainTokenizerOptions,
  type TrainTokenizerReport,
} from "./data/index.js";
export {
  compress,
  type CompressHooks,
  type CompressOptions,
  type CompressProgress,
  type CompressResult,
} from "./recipe/index.js";
export {
  quantize,
  schemes,
  type QuantizedWeightReport,
  type QuantizeHooks,
  type QuantizeOptions,
  type QuantizeResult,
  type Scheme,
} from "./quantize/index.js";
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
export { exportOnnx, type OnnxControls, type OnnxExportResult, type OnnxOptions } from "./export/onnx/index.js";
export { exportGguf, type GgufExportOptions, type GgufExportResult } from "./export/gguf/index.js";
export { EspalierError, errorTable, type ErrorCode } from "./errors.js";
export {
  cacheTeacherLogits,
  distill,
  type CacheOptions,
  type CacheReport,
  type DistillOptions,
} from "./distill/index.js";
export {
  evaluatePerplexity,
  evaluateTasks,
  readTasks,
  recoveryOf,
  type LoadedTask,
  type PerplexityOptions,
  type PerplexityReport,
  type Recovery,
  type Sample,
  type TaskFile,
  type TaskOptions,
  type TaskReport,
  type TasksReport,
} from "./evaluate/index.js";
export {
  importanceReport,
  measureImportance,
  type Aggregation,
  type ImportanceHooks,
  type ImportanceOptions,
  type ImportanceProgress,
  type ImportanceReport,
} from "./importance/index.js";
export {
  prune,
  type Candidate,
  type ImportanceScores,
  type PruneHooks,
  type PruneOptions,
  type PruneResult,
} from "./prune/index.js";
export { pull, type PullOptions, type PullProgress, type PullResult } from "./pull/index.js";
export { renderReport, renderTrainingReport, writeReport, type ReportData } from "./report/index.js";
export {
  searchPrune,
  type LightSearchOptions,
  type RankedCandidate,
  type SearchHooks,
  type SearchOptions,
  type SearchProgress,
  type SearchResult,
} from "./search/index.js";
export {
  synthesize,
  type SynthesizeHooks,
  type SynthesizeOptions,
  type SynthesizeProgress,
  type SynthesizeReport,
} from "./synthesize/index.js";
export { loadTokenizer, type ChatMessage, type Tokenizer } from "./tokenizer/index.js";
export {
  readTrainRecipe,
  train,
  trainingReport,
  type TrainHooks,
  type TrainOptions,
  type TrainProgress,
  type TrainResult,
} from "./train/index.js";
export { version } from "./version.js";
