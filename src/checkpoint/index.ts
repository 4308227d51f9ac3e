export { openCheckpoint } from "./open.js";
export { checkTensors } from "./check.js";
export { exportHuggingFace, type ExportOptions, type ExportProgress, type ExportResult } from "./write.js";
export { inspectModel, type ModelSummary } from "./inspect.js";
export { fingerprintOf } from "./fingerprint.js";
export { readTensor, readTensorAs, readableTypes, type RowRange } from "./read.js";
export type {
  Checkpoint,
  CheckpointFile,
  CheckpointFormat,
  CheckpointTensor,
  GgufValue,
  TokenizerFiles,
} from "./types.js";
