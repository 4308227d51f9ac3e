import {
  formatBytes,
  formatCount,
  formatMs,
  formatNumber,
  formatRatio,
  formatShare,
} from "../../../src/report/format.js";

it.each([
  [formatNumber, 0, "0"],
  [formatNumber, 0.12345, "0.123"],
  [formatNumber, 1.2345, "1.23"],
  [formatNumber, 9.999, "10.0"],
  [formatNumber, 12.345, "12.3"],
  [formatNumber, 99.97, "100"],
  [formatNumber, 1234567.8, "1,234,568"],
  [formatMs, 41.23, "41.2 ms"],
  [formatMs, 12_340, "12.3 s"],
  [formatBytes, 135_900_000, "136 MB"],
  [formatBytes, 1_706_000_000, "1.71 GB"],
  [formatBytes, 1500, "1.50 kB"],
  [formatCount, 134_515_008, "135 M"],
  [formatCount, 1.24e9, "1.24 B"],
  [formatCount, 656, "656"],
  [formatShare, 0.0123, "1.2 %"],
  [formatShare, 0.893, "89 %"],
  [formatRatio, 2.567, "2.57×"],
  [formatRatio, 12.3, "12×"],
  [formatRatio, 0.0123, "0.012×"],
])("%p of %p is %p", (format, value, text) => {
  expect(format(value)).toBe(text);
});

it.each([formatNumber, formatMs, formatBytes, formatShare, formatRatio])(
  "%p has a dash for what is not a number",
  (format) => {
    for (const value of [null, undefined, NaN, Infinity]) expect(format(value)).toBe("–");
  },
);
