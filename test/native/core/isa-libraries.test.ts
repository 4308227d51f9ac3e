import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const objects = join(__dirname, "../../../build/Release/obj.target");
const libraries = ["kernels_avx2", "kernels_avx512", "kernels_avx512_bf16"];
const missing = !libraries.every((name) => existsSync(join(objects, name)))
  ? "no local build to look into"
  : spawnSync("nm", ["--version"]).status !== 0
    ? "nm is not there"
    : undefined;

/** Symbols of a folder's objects as `nm` prints them: kind and name. */
function symbolsOf(folder: string): { kind: string; name: string }[] {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".o"));
  const paths = files.map((file) => join(folder, file));
  const { stdout } = spawnSync("nm", ["-C", "--defined-only", ...paths], { encoding: "utf8", maxBuffer: 1 << 26 });
  return [...stdout.matchAll(/^[0-9a-f]+ (\w) (.*)$/gm)].map(([, kind, name]) => ({ kind: kind!, name: name! }));
}

describe("libraries of one ISA", () => {
  if (missing !== undefined) it.skip(`skipped: ${missing}`, () => {});
  else
    it.each(libraries)("%s shares no inline code with others", (name) => {
      const symbols = symbolsOf(join(objects, name));
      expect(symbols.length).toBeGreaterThan(0);
      // A weak symbol exists once in the addon: the linker may keep the copy that needs AVX-512 for every caller.
      expect(symbols.filter(({ kind }) => "WwVvu".includes(kind)).map(({ name }) => name)).toEqual([]);
    });
});
