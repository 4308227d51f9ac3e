/** Latency percentiles: a dot at the median, a thick line to the 90th, a thin one to the 99th percentile. */
import { markup, type Markup } from "../markup.js";
import { formatNumber } from "../format.js";
import {
  baseline,
  emptyChart,
  groupedRows,
  linearScale,
  missingRow,
  round,
  ROW_HEIGHT,
  textWidth,
  type ChartFrame,
  type Group,
  type Scale,
  type Series,
} from "./frame.js";

export interface PercentileRange {
  p50: number | null;
  p90: number | null;
  p99: number | null;
}

type Complete = { [key in keyof PercentileRange]: number };

export function percentileRanges(frame: ChartFrame, groups: readonly Group<PercentileRange>[]): string {
  const complete = groups.flatMap((group) => group.rows).filter(isComplete);
  const top = Math.max(0, ...complete.map((range) => range.p99));
  if (top === 0) return emptyChart(frame);
  const labelWidth = Math.max(...complete.map((range) => textWidth(labelOf(range), 12))) + 14;
  const scale = linearScale(top, frame.width - labelWidth, frame.unit);
  return groupedRows(frame, groups, scale, (range, series, y) =>
    isComplete(range) ? drawRange(range, series, y, scale) : missingRow(y),
  );
}

function drawRange(range: Complete, series: Series, y: number, scale: Scale): Markup {
  const middle = y + ROW_HEIGHT / 2;
  const x50 = round(scale.at(range.p50));
  const x90 = round(scale.at(range.p90));
  const x99 = round(scale.at(range.p99));
  const [p50, p90, p99] = [range.p50, range.p90, range.p99].map(formatNumber);
  return markup`<g class="range ${series.colour}"
      ><title>${series.name}: median ${p50}, 90th ${p90}, 99th percentile ${p99}</title
      ><path class="thin" d="M${x50} ${middle}H${x99}M${x99} ${middle - 4}v8" /><path class="thick" d="M${x50} ${middle}H${x90}" /><circle
        cx="${x50}" cy="${middle}" r="5" /></g
    ><text class="value" x="${x99 + 8}" y="${baseline(y)}">${p50}<tspan class="of"> · ${p99}</tspan></text>`;
}

function labelOf(range: Complete): string {
  return `${formatNumber(range.p50)} · ${formatNumber(range.p99)}`;
}

function isComplete(range: PercentileRange): range is Complete {
  return [range.p50, range.p90, range.p99].every((value) => value !== null && Number.isFinite(value));
}
