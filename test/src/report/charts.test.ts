import { ceilingBars } from "../../../src/report/charts/ceiling-bars.js";
import { fitText, niceTicks, textWidth, type ChartFrame } from "../../../src/report/charts/frame.js";
import { groupedBars } from "../../../src/report/charts/grouped-bars.js";
import { percentileRanges } from "../../../src/report/charts/percentile-ranges.js";
import { checkMarkup } from "./check-markup.js";

const frame: ChartFrame = { description: "test", unit: "tok/s", series: ["a", "b"], width: 500 };

/** Each chart drawn from one plain number, so that the same cases hold for all. */
const charts: Record<string, (frame: ChartFrame, groups: { label: string; values: (number | null)[] }[]) => string> = {
  groupedBars: (given, groups) =>
    groupedBars(
      given,
      groups.map(({ label, values }) => ({
        label,
        rows: values.map((value) => ({ value, low: (value ?? 0) * 0.9, high: (value ?? 0) * 1.1 })),
      })),
    ),
  ceilingBars: (given, groups) =>
    ceilingBars(
      given,
      groups.map(({ label, values }) => ({ label, rows: values.map((achieved) => ({ achieved, ceiling: 100 })) })),
    ),
  percentileRanges: (given, groups) =>
    percentileRanges(
      given,
      groups.map(({ label, values }) => ({
        label,
        rows: values.map((p50) => ({ p50, p90: p50 === null ? null : p50 * 1.1, p99: p50 === null ? null : p50 * 2 })),
      })),
    ),
};

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** Every x, width and end of a line must be in the picture. */
function coordinates(svg: string): number[] {
  return [...svg.matchAll(/ (?:x|x1|x2|y|width|height|cx|cy)="([^"]*)"/g)].map((match) => Number(match[1]));
}

describe.each(Object.entries(charts))("%s", (_, draw) => {
  it("draws one cell", () => {
    const svg = draw(frame, [{ label: "ISL 128", values: [50] }]);
    checkMarkup(svg);
    expect(svg).toContain("ISL 128");
    expect(svg).toContain('class="value"');
    expect(svg).not.toContain("NaN");
  });

  it("stays inside with twenty cells of two series, wide and narrow", () => {
    for (const width of [500, 320]) {
      const groups = Array.from({ length: 20 }, (__, index) => ({
        label: `cell ${index}`,
        values: [index + 1, 97 - index],
      }));
      const svg = draw({ ...frame, width }, groups);
      checkMarkup(svg);
      expect(count(svg, 'class="value"')).toBe(40);
      expect(coordinates(svg).every((value) => Number.isFinite(value) && value >= 0)).toBe(true);
      const xs = [...svg.matchAll(/ (?:x|x2|cx)="([^"]*)"/g)].map((match) => Number(match[1]));
      expect(Math.max(...xs)).toBeLessThanOrEqual(width);
    }
  });

  it("shows a dash for what was not measured, and says so when nothing was", () => {
    const svg = draw(frame, [
      { label: "x", values: [null, 5] },
      { label: "y", values: [NaN, Infinity] },
    ]);
    checkMarkup(svg);
    expect(count(svg, ">–<")).toBe(3);
    expect(svg).not.toMatch(/NaN|Infinity/);
    for (const groups of [[], [{ label: "x", values: [null] }], [{ label: "x", values: [NaN, NaN] }]])
      expect(draw(frame, groups)).toContain("Nothing was measured.");
  });

  it("escapes and shortens names", () => {
    const hostile = `<img src=x onerror="alert(1)"> ${"long name ".repeat(30)}`;
    const svg = draw({ ...frame, series: [hostile], description: hostile }, [{ label: hostile, values: [3] }]);
    checkMarkup(svg);
    expect(svg).not.toContain("<img");
    expect(svg).toContain("…");
  });

  it("starts the colours where it is told", () => {
    const svg = draw({ ...frame, firstColour: 1 }, [{ label: "x", values: [1, 2] }]);
    expect(svg).toMatch(/class="[^"]*s1"/);
    expect(svg).toMatch(/class="[^"]*s2"/);
    expect(svg).not.toMatch(/class="[^"]*s0"/);
  });
});

describe("ceilingBars", () => {
  it("fits what is over the ceiling", () => {
    const svg = ceilingBars(frame, [
      {
        label: "x",
        rows: [
          { achieved: 150, ceiling: 100 },
          { achieved: 3, ceiling: 0 },
        ],
      },
    ]);
    checkMarkup(svg);
    expect(svg).toContain("150 %");
    expect(count(svg, ">–<")).toBe(1);
  });
});

describe("axis and text", () => {
  it("finds round ticks", () => {
    expect(niceTicks(100, 5)).toEqual([0, 20, 40, 60, 80, 100]);
    expect(niceTicks(0.7, 3)).toEqual([0, 0.25, 0.5, 0.75]);
    expect(niceTicks(1234, 4)).toEqual([0, 500, 1000, 1500]);
    for (const max of [0, -1, NaN, Infinity]) expect(niceTicks(max, 4)).toEqual([0, 1]);
  });

  it("cuts the middle of long text", () => {
    const text = "a-very-long-engine-directory-name/with-a-suffix";
    const fitted = fitText(text, 12, 120);
    expect(textWidth(fitted, 12)).toBeLessThanOrEqual(120);
    expect(fitted.startsWith("a-ver")).toBe(true);
    expect(fitted.endsWith("suffix")).toBe(true);
    expect(fitText("short", 12, 120)).toBe("short");
    expect(fitText("short", 12, 1)).toBe("…");
  });
});
