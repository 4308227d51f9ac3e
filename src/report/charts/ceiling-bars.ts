/** Bars of what was achieved as a share of a ceiling, which is the track behind at its full width. */
import { markup, type Markup } from "../markup.js";
import { formatNumber, formatShare } from "../format.js";
import {
  baseline,
  emptyChart,
  groupedRows,
  missingRow,
  round,
  ROW_HEIGHT,
  textWidth,
  type ChartFrame,
  type Group,
  type Scale,
  type Series,
} from "./frame.js";

export interface CeilingBar {
  achieved: number | null;
  ceiling: number;
}

/** `frame.unit` is that of achieved and ceiling; the axis is in percent. */
export function ceilingBars(frame: ChartFrame, groups: readonly Group<CeilingBar>[]): string {
  const bars = groups.flatMap((group) => group.rows);
  const shares = bars.map(shareOf).filter((share) => share !== null);
  if (shares.length === 0) return emptyChart(frame);
  const labelWidth = Math.max(
    ...bars.map((bar) => textWidth(`${formatShare(shareOf(bar))} · ${amount(bar, frame)}`, 12)),
  );
  const plotWidth = frame.width - labelWidth - 8;
  const top = Math.max(1, ...shares);
  const scale: Scale = {
    ticks: [0, 0.25, 0.5, 0.75, 1],
    at: (share) => (share / top) * plotWidth,
    format: (share) => `${100 * share} %`,
    unit: "",
  };
  return groupedRows(frame, groups, scale, (bar, series, y) => drawBar(bar, frame, series, y, scale, plotWidth));
}

function drawBar(
  bar: CeilingBar,
  frame: ChartFrame,
  series: Series,
  y: number,
  scale: Scale,
  plotWidth: number,
): Markup {
  const share = shareOf(bar);
  if (share === null) return missingRow(y);
  const { colour } = series;
  const title = `${series.name}: ${amount(bar, frame)} of ${formatNumber(bar.ceiling)} ${frame.unit}`;
  const rect = (shape: string, width: number): Markup =>
    markup`<rect class="${shape}" x="0" y="${y}" width="${round(Math.max(width, 1))}" height="${ROW_HEIGHT}" rx="2"><title>${title}</title></rect>`;
  return markup`${rect(`track ${colour}`, scale.at(1))}${rect(colour, scale.at(share))}<text
      class="value" x="${round(plotWidth + 8)}" y="${baseline(y)}">${formatShare(share)}<tspan class="of"> · ${amount(bar, frame)}</tspan></text>`;
}

function amount(bar: CeilingBar, frame: ChartFrame): string {
  return `${formatNumber(bar.achieved)} ${frame.unit}`;
}

function shareOf(bar: CeilingBar): number | null {
  const share = bar.achieved === null ? NaN : bar.achieved / bar.ceiling;
  return Number.isFinite(share) && share >= 0 ? share : null;
}
