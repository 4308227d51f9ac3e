import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { errorTable } from "../../src/errors.js";

const root = join(__dirname, "../..");

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (/\.(ts|mjs|cpp|h)$/.test(entry.name)) yield path;
  }
}

const used = new Map<string, string>();
for (const folder of ["src", "native", "scripts"])
  for (const path of sources(join(root, folder)))
    for (const [, code] of readFileSync(path, "utf8").matchAll(/"(ERR_[A-Z0-9_]+)"/g))
      if (!path.endsWith("errors.ts")) used.set(code as string, path);

describe("the error table", () => {
  it("holds every code that the sources use", () => {
    const unknown = [...used].filter(([code]) => !Object.hasOwn(errorTable, code));
    expect(unknown).toEqual([]);
  });

  it("holds no code that nothing uses", () => {
    expect(Object.keys(errorTable).filter((code) => !used.has(code))).toEqual([]);
  });

  it("equals docs/errors.md, both ways", () => {
    const page = readFileSync(join(root, "docs/errors.md"), "utf8");
    const rows = [...page.matchAll(/^\| `(ERR_\w+)` \| (.*) \| (.*) \|$/gm)].map(([, code, meaning, hint]) => [
      code,
      { meaning, hint },
    ]);
    expect(Object.fromEntries(rows)).toEqual(errorTable);
  });

  it("is sorted, and every row says what it means and what to do", () => {
    const codes = Object.keys(errorTable);
    expect(codes).toEqual([...codes].sort());
    for (const { meaning, hint } of Object.values(errorTable)) {
      expect(meaning.length).toBeGreaterThan(10);
      expect(hint.length).toBeGreaterThan(5);
    }
  });
});
