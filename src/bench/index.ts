export { bench } from "./bench.js";
export type { BenchCell, BenchOptions, BenchProgress, CellComparison, ComparedFigure } from "./types.js";
export type { Spread } from "./statistics.js";
export { largestBatchOf } from "./plan.js";
export { weightFormatsOf } from "./work.js";
