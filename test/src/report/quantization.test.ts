import {
  renderQuantizationReport,
  type QuantizationReportData,
  type ReportedWeight,
} from "../../../src/report/index.js";
import { checkMarkup } from "./check-markup.js";
import { sampleReport } from "./sample-data.js";

const weight = (layer: number, role: string, relativeError: number): ReportedWeight => ({
  name: `model.layers.${layer}.${role}.weight`,
  scheme: "w4a16",
  shape: [64, 128],
  bitsPerWeight: 4.125,
  bytes: 4224,
  relativeError,
  largestError: 0.5,
});

const data = (change: Partial<QuantizationReportData> = {}): QuantizationReportData => ({
  model: "<small>",
  scheme: "w4a16",
  weights: [0, 1, 2].flatMap((layer) =>
    ["mlp.up_proj", "mlp.down_proj"].map((role) => weight(layer, role, 0.1 + layer / 50)),
  ),
  measured: sampleReport(),
  gentler: "w8a16",
  ...change,
});

it("draws errors by weight and layer, names the worst with what can be done, and lists all", () => {
  const html = renderQuantizationReport(data());
  checkMarkup(html);
  expect(html).toContain("&lt;small&gt; in w4a16");
  expect(html).toContain("What rounding did to the weights");
  expect(html).toContain("By layer");
  expect(html).toContain("--override &#39;model.layers.2.mlp.up_proj=w8a16&#39; \\");
  expect(html).toContain("the median of 12.0 %");
  expect(html.match(/<tr><th scope="row">model\.layers/g)).toHaveLength(6);
});

it("says to leave weights out where the format is one for all", () => {
  const html = renderQuantizationReport(data({ gentler: null }));
  expect(html).toContain("--exclude &#39;model.layers.2.mlp.up_proj&#39;");
  expect(html).not.toContain("--override");
});

it("says when no weight stands out, and does without weights or layers", () => {
  const even = renderQuantizationReport(data({ weights: [weight(0, "up_proj", 0.1), weight(0, "down_proj", 0.1)] }));
  expect(even).toContain("No weight stands out");
  expect(even).not.toContain("By layer");
  checkMarkup(even);
  const none = renderQuantizationReport(data({ weights: [] }));
  expect(none).not.toContain("What rounding did");
  checkMarkup(none);
});
