import { benchTable, perplexityTable, terminalTable } from "../../../src/report/terminal-table.js";
import { sampleCell, sampleReport } from "./sample-data.js";

describe("terminal tables", () => {
  it("align numbers to the right and have no colour codes", () => {
    const text = terminalTable(
      ["name", "value"],
      [
        ["a", "1"],
        ["longer", "22"],
      ],
    );
    expect(text).toContain("│ longer │    22 │");
    expect(text).not.toContain("\u001b");
  });

  it("show cells, disturbance and ratios", () => {
    const text = benchTable(sampleReport().cells, (directory) => directory.replace("out/", ""));
    expect(text).toContain("int8 *");
    expect(text).toContain("* disturbed: other programs took up to 11 %");
    expect(text).toContain("int8 / f32");
    expect(text).toContain("2.57× (2.30× to 2.71×)");
    expect(text).toContain("24.3 (89 %)");
  });

  it("show dashes at OSL 1", () => {
    const cell = sampleCell("e", 8, 1, 1, { tpotMs: null, decodeTokensPerSecond: null, decodeGBps: null });
    expect(benchTable([cell])).toContain("–");
    expect(benchTable([cell])).not.toContain("disturbed");
  });

  it("show perplexities", () => {
    const rows = sampleReport().perplexity.map((row) => ({ ...row, engine: "int8" }));
    expect(perplexityTable(rows)).toContain("31.4270");
  });
});
