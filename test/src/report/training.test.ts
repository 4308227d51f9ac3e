import { lineChart, type Curve } from "../../../src/report/charts/line-chart.js";
import { parseTrainingReport, renderTrainingReport, type TrainingReportData } from "../../../src/report/index.js";
import { coded } from "../../model-files.js";
import { checkMarkup } from "./check-markup.js";
import { sampleReport } from "./sample-data.js";

const frame = { description: "loss over steps", xUnit: "steps", width: 500, height: 250 };

const curve = (name: string, values: (number | null)[], colour = 1): Curve => ({
  name,
  colour,
  points: values.map((value, index) => [index + 1, value ?? NaN] as const),
});

function report(change: Partial<TrainingReportData> = {}): TrainingReportData {
  const run = (label: string, scale: number): TrainingReportData["runs"][number] => ({
    directory: `runs/${label}`,
    label,
    points: Array.from({ length: 20 }, (_, i) => ({
      step: i + 1,
      samples: 8 * (i + 1),
      loss: scale * (3 + 4 / (i + 1)),
      learningRate: 1e-4 * (20 - i),
      gradNorm: i === 3 ? null : 1 / (i + 1),
      tokensPerSecond: 1000 + i,
    })),
    validation: [10, 20].map((step) => ({
      step,
      samples: 8 * step,
      loss: scale * (3 + 4 / step),
      crossEntropy: scale < 1 ? Math.log(7) : null,
    })),
    skipped: 1,
    tokens: 123456,
    facts: { "Peak learning rate": 2e-3, Data: "corpus" },
  });
  const { machine, createdAt, espalierVersion } = sampleReport();
  const runs = [run("one", 1), run("two", 0.9)];
  return { kind: "train", title: "2 training runs", createdAt, espalierVersion, machine, runs, ...change };
}

describe("lineChart", () => {
  it("draws every curve inside the picture", () => {
    const svg = lineChart(frame, [curve("a", [7.5, 4, 3.25]), { ...curve("b", [8, null, 2], 2), dots: true }]);
    checkMarkup(svg);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    expect(svg.split('class="curve')).toHaveLength(3);
    expect(svg.split("<circle")).toHaveLength(3);
    for (const [, value] of svg.matchAll(/ (?:x|x1|x2|cx)="([^"]*)"/g)) {
      expect(Number(value)).toBeGreaterThanOrEqual(0);
      expect(Number(value)).toBeLessThanOrEqual(frame.width);
    }
    for (const [, value] of svg.matchAll(/ (?:y|y1|y2|cy)="([^"]*)"/g)) {
      expect(Number(value)).toBeGreaterThanOrEqual(0);
      expect(Number(value)).toBeLessThanOrEqual(frame.height);
    }
  });

  it("says so when there is nothing, and stands one point, equal values, tiny and huge ones", () => {
    expect(lineChart(frame, [curve("a", [null])])).toContain("Nothing was measured");
    for (const values of [[1], [2, 2, 2], [0, 0], [1e-9, 2e-9], [1e12, 3e12], [-5, 5]]) {
      const svg = lineChart(frame, [curve("a", values)]);
      checkMarkup(svg);
      expect(svg).not.toMatch(/NaN|Infinity/);
    }
  });
});

describe("renderTrainingReport", () => {
  it("is one whole page with every run on the same charts", () => {
    const page = renderTrainingReport(report());
    checkMarkup(page);
    expect(page).not.toMatch(/<script|<link|<img|https?:|NaN|undefined|\[object/);
    expect(page).toContain("Best is two: its validation loss reached 2.8800 (perplexity 7.00) at step 20");
    expect(page.split('class="curve')).toHaveLength(1 + 2 * 6 * 2);
    for (const text of ["Training loss", "Learning rate", "123,456", "corpus"]) expect(page).toContain(text);
  });

  it("escapes whatever comes from runs, and stands runs without a step", () => {
    const hostile = `"><script>alert('x')</script>`;
    const data = report({ title: hostile });
    const [run] = data.runs;
    if (run === undefined) throw new Error("no run");
    data.runs = [{ ...run, label: hostile, facts: { [hostile]: hostile }, points: [], validation: [] }];
    const page = renderTrainingReport(data);
    checkMarkup(page);
    expect(page).not.toContain("<script");
    expect(page).toContain("No step was taken yet");
  });

  it("checks its data", () => {
    expect(parseTrainingReport(JSON.parse(JSON.stringify(report())), "x")).toEqual(report());
    const wrong = { ...report(), runs: [{ ...report().runs[0], tokens: "many" }] };
    expect(() => parseTrainingReport(wrong, "report.json")).toThrow(coded("ERR_REPORT_DATA", "runs.0.tokens"));
  });
});
