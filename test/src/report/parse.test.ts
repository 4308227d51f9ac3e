import { parseReportData } from "../../../src/report/index.js";
import { sampleReport } from "./sample-data.js";

const copy = () => JSON.parse(JSON.stringify(sampleReport())) as Record<string, unknown>;

describe("parseReportData", () => {
  it("takes what a report wrote", () => {
    expect(parseReportData(copy(), "report.json")).toEqual(copy());
  });

  it.each([
    [null, "report.json: the document: "],
    [[], "report.json: the document: "],
    [{ ...copy(), createdAt: 5 }, "report.json: createdAt: "],
    [{ ...copy(), engines: [{}] }, "report.json: engines.0.directory: "],
    [{ ...copy(), cells: [{ engine: "x" }] }, "report.json: cells.0.isl: "],
    [{ ...copy(), samples: [null] }, "report.json: samples.0: "],
    [{ ...copy(), commands: [3] }, "report.json: commands.0: "],
  ])("names the field that is wrong (%#)", (value, message) => {
    expect(() => parseReportData(value, "report.json")).toThrow(
      expect.objectContaining({ code: "ERR_REPORT_DATA", message: expect.stringContaining(message) }),
    );
  });

  it("refuses every document that lacks one of the fields", () => {
    for (const name of Object.keys(copy())) {
      const { [name]: _, ...rest } = copy();
      expect(() => parseReportData(rest, "report.json")).toThrow(`report.json: ${name}: `);
    }
  });
});
