export {
  quantizeSchema,
  rangeMethods,
  resolveQuantizeOptions,
  type QuantizeOptions,
  type RangeMethod,
  type ResolvedQuantizeOptions,
} from "./config.js";
export { quantize, type QuantizeHooks, type QuantizeProgress, type QuantizeResult } from "./quantize.js";
export type { MeasuredModel, MeasureProgress, QuantizationMeasurement } from "./report.js";
export { schemes, type Scheme } from "./schemes.js";
export type { QuantizedWeightReport } from "./write-weights.js";
