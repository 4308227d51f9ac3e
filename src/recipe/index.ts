export {
  compress,
  type CompressedStep,
  type CompressHooks,
  type CompressOptions,
  type CompressProgress,
  type CompressResult,
} from "./compress.js";
export type { EvaluateOutcome } from "./steps/evaluate.js";
export { compressReport, isCompressRun } from "./report.js";
export { stepKinds } from "./step-kinds.js";
export { summaryOf } from "./summary.js";
