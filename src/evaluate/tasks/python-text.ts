/**
 * Python's str methods where JavaScript's differ: the harness cuts and counts text with them.
 */

/** Code points that str.isspace() holds for. */
const SPACES = new Set([
  ...[0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680],
  ...[0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a],
  ...[0x2028, 0x2029, 0x202f, 0x205f, 0x3000],
]);

/** str.rstrip() */
export function rstrip(text: string): string {
  let end = text.length;
  while (end > 0 && SPACES.has(text.charCodeAt(end - 1))) --end;
  return text.slice(0, end);
}

/** str.strip() */
export function strip(text: string): string {
  let begin = 0;
  while (begin < text.length && SPACES.has(text.charCodeAt(begin))) ++begin;
  return rstrip(text.slice(begin));
}

/** len(): code points, not UTF-16 units. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) ++count;
  return count;
}

/** str.capitalize(): the first character upper case, all others lower case. */
export function capitalize(text: string): string {
  const first = String.fromCodePoint(text.codePointAt(0) ?? 0);
  if (text === "") return "";
  const upper = [...first.toUpperCase()]; // "ß" becomes "Ss"
  return (upper[0] as string) + upper.slice(1).join("").toLowerCase() + text.slice(first.length).toLowerCase();
}
