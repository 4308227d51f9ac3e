/**
 * zod with the package's errors: the message names the file, the field, what was expected and what was found.
 */
import { z } from "zod";
import { EspalierError, type ErrorCode } from "../errors.js";
import { nearestHint } from "../nearest.js";

export interface FieldContext {
  code: ErrorCode;
  /** The file. */
  where: string;
  /** Put before the field's name: "rope" gives "rope.factor". */
  prefix?: string;
}

/** `value` parsed by `schema`, or the first issue as a coded error. */
export function parseFields<T>(schema: z.ZodType<T>, value: unknown, context: FieldContext): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path ?? [];
  if (issue?.code === "unrecognized_keys") throw unknownField(schema, issue, context);
  const field = [...(context.prefix === undefined ? [] : [context.prefix]), ...path].map(String).join(".");
  const what = (issue?.message ?? "invalid").replace(/^Invalid input: /, "").replace(/, received .*$/, "");
  throw new EspalierError(
    context.code,
    `${context.where}: ${field === "" ? "" : `${field}: `}${what}, found ${show(valueAt(value, path))}`,
  );
}

/** Names the field and, at the top, the known one that is nearest. */
function unknownField(
  schema: z.ZodType,
  { keys, path }: z.core.$ZodIssueUnrecognizedKeys,
  { code, where, prefix }: FieldContext,
): EspalierError {
  const [key = ""] = keys;
  const known = schema instanceof z.ZodObject && path.length === 0 ? Object.keys(schema.shape) : [];
  const field = [...(prefix === undefined ? [] : [prefix]), ...path, key].map(String).join(".");
  const expected = known.length === 0 ? "" : `: expected one of ${[...known].sort().join(", ")}`;
  return new EspalierError(code, `${where}: ${field}: unknown${nearestHint(key, known)}${expected}`);
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, key)) return undefined;
    current = (current as Record<PropertyKey, unknown>)[key];
  }
  return current;
}

/** A value for a message: JSON, cut short. */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = jsonOf(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** What JSON has no words for (NaN, a function, a bigint, a circle of objects) as it names itself. */
function jsonOf(value: unknown): string {
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value === "function") return "a function";
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return typeof value === "bigint" ? String(value) : Object.prototype.toString.call(value);
  }
}
