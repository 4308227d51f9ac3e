export { exportOnnx, type OnnxControls, type OnnxExportResult } from "./export.js";
export type { OnnxOptions } from "./config.js";
