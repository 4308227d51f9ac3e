export { bench } from "./bench.js";
export type { BenchCell, BenchOptions, BenchProgress, CellComparison, ComparedFigure } from "./types.js";
export type { Spread } from "./statistics.js";
