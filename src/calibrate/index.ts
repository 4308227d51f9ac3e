export {
  planCalibration,
  runCalibrationPass,
  type CalibrationOptions,
  type CalibrationPlan,
  type CalibrationProgress,
} from "./pass.js";
export type { StatisticKind, Tap, TapRequest } from "./native-calibrator.js";
