export { reportEngine, reportMachine } from "./facts.js";
export type { ImportanceFigures, ReportedImportance, ReportedScores } from "./importance/data.js";
export { renderImportanceReport } from "./importance/page.js";
export { importanceSections } from "./importance/sections.js";
export { parseReportData } from "./parse.js";
export { renderReport, writeReport } from "./report.js";
export { benchTable, perplexityTable, terminalTable } from "./terminal-table.js";
export type { ReportData, ReportEngine, ReportMachine, ReportPerplexity, ReportSample } from "./types.js";
export {
  isTrainingReport,
  parseTrainingReport,
  type TrainingPoint,
  type TrainingReportData,
  type TrainingRun,
} from "./training/data.js";
export { renderTrainingReport } from "./training/page.js";
export { DASH, formatBytes, formatCount } from "./format.js";
export {
  isCompressReport,
  parseCompressReport,
  type CompressModel,
  type CompressReportData,
  type CompressStep,
} from "./compress/data.js";
export { renderCompressReport, type StepImportance } from "./compress/page.js";
export type { QuantizationReportData, ReportedWeight } from "./quantization/data.js";
export { renderQuantizationReport } from "./quantization/page.js";
