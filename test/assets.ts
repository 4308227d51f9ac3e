/**
 * Big inputs that are not in the repository: ESPALIER_ASSETS, or `shared/assets` beside the clone. Tests that want one
 * say so when it is absent.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

const folder = process.env["ESPALIER_ASSETS"] ?? join(__dirname, "../../shared/assets");

/** Paths of the files, or null when one of them is not there. */
export function findAssets(...names: string[]): string[] | null {
  const paths = names.map((name) => join(folder, name));
  return paths.every((path) => existsSync(path)) ? paths : null;
}
