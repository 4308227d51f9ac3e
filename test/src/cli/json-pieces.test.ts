import { jsonPieces } from "../../../src/cli/json-pieces.js";

const text = (value: unknown): string => [...jsonPieces(value)].join("");

describe("jsonPieces", () => {
  it("gives what JSON.stringify gives, for every kind of value", () => {
    const values = [
      null,
      true,
      1.5,
      NaN,
      'a "b" \n \u2028 \ud800',
      [],
      {},
      [[], {}],
      { a: undefined, b: [1, null, "x"], c: [{ d: [[1, 2], [3]] }, 4], "e f": { g: null } },
      [undefined],
    ];
    for (const value of values) expect(JSON.parse(text(value))).toEqual(JSON.parse(JSON.stringify(value)));
  });

  it("writes typed arrays as lists, and lists of plain values on one line", () => {
    expect(text({ logits: [Float32Array.of(1, 2), Float32Array.of(3)] })).toBe(
      '{\n  "logits": [\n    [1,2],\n    [3]\n  ]\n}',
    );
  });

  it("breaks large data into pieces", () => {
    const rows = Array.from({ length: 100 }, () => new Float32Array(1000));
    const longest = Math.max(...[...jsonPieces({ rows })].map((piece) => piece.length));
    expect(longest).toBeLessThan(3000);
  });
});
