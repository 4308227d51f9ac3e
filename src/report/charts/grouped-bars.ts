/** Horizontal bars in groups, one bar a series, value at its end, whisker for the spread. */
import { markup, type Markup } from "../markup.js";
import { formatNumber } from "../format.js";
import {
  baseline,
  emptyChart,
  finite,
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

export interface Bar {
  value: number | null;
  /** Spread, when known. */
  low?: number;
  high?: number;
}

export function groupedBars(frame: ChartFrame, groups: readonly Group<Bar>[]): string {
  const bars = groups.flatMap((group) => group.rows);
  const top = Math.max(0, ...bars.map((bar) => Math.max(finite(bar.value) ?? 0, finite(bar.high) ?? 0)));
  if (top === 0) return emptyChart(frame);
  const labelWidth = Math.max(...bars.map((bar) => textWidth(formatNumber(bar.value), 12))) + 12;
  const scale = linearScale(top, frame.width - labelWidth, frame.unit);
  return groupedRows(frame, groups, scale, (bar, series, y) => drawBar(bar, series, y, scale));
}

function drawBar(bar: Bar, series: Series, y: number, scale: Scale): Markup {
  const value = finite(bar.value);
  if (value === null) return missingRow(y);
  const low = finite(bar.low) ?? value;
  const high = finite(bar.high) ?? value;
  const whisker = `M${round(scale.at(low))} ${y + ROW_HEIGHT / 2}H${round(scale.at(high))}`;
  const range = high > low ? ` (${formatNumber(low)} to ${formatNumber(high)})` : "";
  return markup`<rect class="${series.colour}" x="0" y="${y}" width="${round(Math.max(scale.at(value), 1))}" height="${ROW_HEIGHT}" rx="2"
      ><title>${series.name}: ${formatNumber(value)}${range}</title></rect
    >${high > low && markup`<path class="whisker" d="${whisker}" />`}<text
      class="value" x="${round(scale.at(Math.max(value, high)) + 7)}" y="${baseline(y)}">${formatNumber(value)}</text>`;
}
