/** Where downloads and engines built on the fly are kept: ESPALIER_CACHE, or ~/.cache/espalier. */
import { homedir } from "node:os";
import { join } from "node:path";

export function cacheDirectory(): string {
  const own = process.env["ESPALIER_CACHE"];
  if (own !== undefined && own !== "") return own;
  const base = process.env["XDG_CACHE_HOME"];
  return join(base !== undefined && base !== "" ? base : join(homedir(), ".cache"), "espalier");
}
