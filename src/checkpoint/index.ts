export { openCheckpoint } from "./open.js";
export { checkTensors } from "./check.js";
export { readTensor, readTensorAs, readableTypes, type RowRange } from "./read.js";
export type {
  Checkpoint,
  CheckpointFile,
  CheckpointFormat,
  CheckpointTensor,
  GgufValue,
  TokenizerFiles,
} from "./types.js";
