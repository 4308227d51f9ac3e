/** Which colour an engine has on the page. */
import { seriesClass } from "./charts/frame.js";
import type { ReportData } from "./types.js";

/** The baseline of several engines is grey (s0); a single engine gets the first real colour. */
export function seriesOf(data: ReportData, index: number): string {
  return seriesClass(index + seriesOffset(data));
}

/** Added to an engine's index to get its series. */
export function seriesOffset(data: ReportData): number {
  return data.engines.length === 1 ? 1 : 0;
}
