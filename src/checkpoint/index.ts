export { openCheckpoint, openWhole } from "./open.js";
export { readTokenizerFiles } from "./open-directory.js";
export { assemble, OpenFiles } from "./assemble.js";
export { checkTensors } from "./check.js";
export {
  exportHuggingFace,
  writeModelFiles,
  type ExportOptions,
  type ExportProgress,
  type ExportResult,
} from "./write.js";
export { storedDtype } from "./stored-dtype.js";
export { namingTensor } from "./naming-tensor.js";
export { inspectModel, type ModelSummary } from "./inspect.js";
export { fingerprintOf } from "./fingerprint.js";
export { checkRotatable, rotationTransform } from "./rotation.js";
export { readTensor, readTensorAs, readableTypes, type RowRange } from "./read.js";
export type { Activations } from "./quantized/index.js";
export type {
  Checkpoint,
  CheckpointFile,
  CheckpointFormat,
  CheckpointTensor,
  GgufValue,
  TokenizerFiles,
} from "./types.js";
export { writeSafetensors, type PlannedTensor, type WeightDtype } from "./safetensors-writer.js";
