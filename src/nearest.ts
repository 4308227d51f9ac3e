// SPDX-License-Identifier: Apache-2.0
/** The name that somebody probably meant. */
import { closest, distance } from "fastest-levenshtein";

/** Further away than this part of its length, a name was not meant. */
const FARTHEST = 0.5;

/** The known name nearest to `name`; null when none is near. */
export function nearestName(name: string, known: readonly string[]): string | null {
  if (known.length === 0) return null;
  const lower = name.toLowerCase();
  const contained = known.find((other) => other.toLowerCase() === lower);
  const best = contained ?? closest(name, known);
  return distance(name, best) <= Math.max(1, FARTHEST * Math.max(name.length, best.length)) ? best : null;
}

/** " (nearest is "ffn")", or nothing. */
export function nearestHint(name: string, known: readonly string[]): string {
  const best = nearestName(name, known);
  return best === null ? "" : ` (nearest is "${best}")`;
}
