import { heatCells, heatLevel, heatMap, type HeatFrame } from "../../../src/report/charts/heat-map.js";
import { HEAT_LEVELS } from "../../../src/report/style.js";
import { checkMarkup } from "./check-markup.js";

const frame: HeatFrame = { description: "scores", columns: "channel", width: 500 };
const rows = (count: number, width: number, at = (row: number, i: number): number => 1 + row + i) =>
  Array.from({ length: count }, (_, row) => ({
    label: String(row + 1),
    values: Float32Array.from({ length: width }, (_value, i) => at(row, i)),
  }));

/** [row][column]: the colour drawn, from the paths; each cell once. */
function coloursOf(svg: string): number[][] {
  const out: number[][] = [];
  for (const [, level, path] of svg.matchAll(/<path class="h(\d+)" d="([^"]*)"/g))
    for (const [, x, y, length] of path!.matchAll(/M(\d+) ([\d.]+)h(\d+)/g))
      for (let i = 0; i < Number(length); ++i) {
        const row = (out[Number(y) - 0.5] ??= []);
        expect(row[Number(x) + i]).toBeUndefined();
        row[Number(x) + i] = Number(level);
      }
  return out;
}

describe("heatMap", () => {
  it.each([
    [1, 1, 500],
    [2, 960, 320],
    [30, 1536, 1040],
    [30, 9, 500],
    [126, 53248, 320],
  ])("%i rows of %i values, %i wide: every cell once, nothing outside", (count, width, pixels) => {
    const svg = heatMap({ ...frame, width: pixels }, rows(count, width));
    checkMarkup(svg);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    const columns = Math.ceil(width / Math.ceil(width / 256));
    expect(coloursOf(svg).map((row) => row.length)).toEqual(Array(count).fill(columns));
    for (const [, x, y] of svg.matchAll(/<(?:text|rect) [^>]*x="([^"]*)" y="([^"]*)"/g)) {
      expect(Number(x)).toBeGreaterThanOrEqual(0);
      expect(Number(x)).toBeLessThanOrEqual(pixels);
      expect(Number(y)).toBeLessThanOrEqual(Number(/viewBox="0 0 \d+ (\d+)"/.exec(svg)![1]));
    }
  });

  it("colours are the table's", () => {
    const given = rows(3, 40, (row, i) => 10 ** ((row + i) % 5));
    const { cells, range } = heatCells(given.map(({ values }) => values));
    const colours = cells.map((row) => row.map((value) => heatLevel(value, range)));
    expect(coloursOf(heatMap(frame, given))).toEqual(colours);
    expect(colours[0]!.slice(0, 5)).toEqual([0, 4, 8, 11, HEAT_LEVELS - 1]);
  });

  it("stands zeros, equal values, negative ones, what is no number, and nothing", () => {
    for (const at of [() => 0, () => 3, (_row: number, i: number) => -i, () => NaN, () => 1e-30, () => 1e30]) {
      const svg = heatMap(frame, rows(2, 5, at));
      checkMarkup(svg);
      expect(svg).not.toMatch(/NaN|Infinity/);
    }
    expect(
      heatMap(
        frame,
        rows(1, 4, (_row, i) => (i === 1 ? NaN : 1)),
      ).split("M1 "),
    ).toHaveLength(1);
    expect(
      heatMap(
        frame,
        rows(2, 3, () => 0),
      ),
    ).toContain("No value is above zero");
    expect(heatMap(frame, [])).toContain("Nothing was measured");
  });
});

it("bins are means of neighbours, the last one of what is left", () => {
  const { cells, binSize } = heatCells([[1, 3, 5, 7, 9]], 3);
  expect({ cells, binSize }).toEqual({ cells: [[2, 6, 9]], binSize: 2 });
  expect(heatCells([[1, 2, 3]]).cells).toEqual([[1, 2, 3]]);
});
