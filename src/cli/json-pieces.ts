/** JSON text in pieces: logits of a long prompt are more text than one JavaScript string may hold. */

/** What JSON.stringify(value, null, 2) gives, except that a list of plain values stays on one line. */
export function* jsonPieces(value: unknown, indent = ""): Generator<string> {
  const list = Array.isArray(value) || ArrayBuffer.isView(value);
  if (typeof value !== "object" || value === null || (list && isFlat(value as ArrayLike<unknown>))) {
    yield (
      JSON.stringify(ArrayBuffer.isView(value) ? Array.from(value as unknown as ArrayLike<number>) : value) ?? "null"
    );
    return;
  }
  const entries: [string, unknown][] = list
    ? (value as unknown[]).map((item) => ["", item])
    : Object.entries(value).filter(([, item]) => item !== undefined);
  if (entries.length === 0) {
    yield list ? "[]" : "{}";
    return;
  }
  let separator = list ? "[" : "{";
  for (const [name, item] of entries) {
    yield `${separator}\n${indent}  ${list ? "" : `${JSON.stringify(name)}: `}`;
    yield* jsonPieces(item, `${indent}  `);
    separator = ",";
  }
  yield `\n${indent}${list ? "]" : "}"}`;
}

function isFlat(list: ArrayLike<unknown>): boolean {
  for (let i = 0; i < list.length; ++i) if (typeof list[i] === "object" && list[i] !== null) return false;
  return true;
}
