/** Throws unless every element is closed in the right order and attributes are quoted. */
export function checkMarkup(text: string): void {
  const open: string[] = [];
  const voids = new Set(["meta", "br", "link"]);
  for (const [tag, slash, name = "", attributes = ""] of text.matchAll(/<(\/?)([a-z][\w-]*)((?:[^"<>]|"[^"]*")*)>/gi)) {
    const unquoted = attributes.replace(/"[^"<]*"/g, "");
    if (/[<"']/.test(unquoted)) throw new Error(`bad attributes: ${tag}`);
    if (slash === "/") {
      if (open.pop() !== name) throw new Error(`unexpected ${tag}`);
    } else if (!voids.has(name) && !attributes.trimEnd().endsWith("/")) open.push(name);
  }
  if (open.length > 0) throw new Error(`not closed: ${open.join(", ")}`);
  const rest = text.replace(/<!doctype html>/, "").replace(/<(\/?)([a-z][\w-]*)((?:[^"<>]|"[^"]*")*)>/gi, "");
  if (rest.includes("<")) throw new Error(`stray "<": ${rest.slice(rest.indexOf("<"), rest.indexOf("<") + 40)}`);
}
