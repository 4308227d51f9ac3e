/**
 * The fields of one line of a task's file. A wrong one is ERR_TASK_FIELD with file, line, field and what was found.
 */
import { EspalierError, type ErrorCode } from "../../errors.js";
import { isRecord } from "../../json.js";

export class Fields {
  readonly #record: Record<string, unknown>;
  /** "file.jsonl:12" */
  readonly where: string;

  constructor(value: unknown, where: string) {
    if (!isRecord(value))
      throw new EspalierError("ERR_TASK_FIELD", `${where}: expected a JSON object, found ${show(value)}`);
    this.#record = value;
    this.where = where;
  }

  has(name: string): boolean {
    return this.#record[name] !== undefined && this.#record[name] !== null;
  }

  text(name: string): string {
    const value = this.#record[name];
    return typeof value === "string" ? value : this.fail(name, "a string");
  }

  /** At least one of them. */
  texts(name: string): string[] {
    const value = this.#record[name];
    if (!Array.isArray(value) || value.length === 0 || !value.every((item) => typeof item === "string"))
      return this.fail(name, "a list of strings");
    return value as string[];
  }

  object(name: string): Fields {
    const value = this.#record[name];
    return isRecord(value) ? new Fields(value, `${this.where}: ${name}`) : this.fail(name, "an object");
  }

  /** Index of the right one of `count` answers: a number, or a number as text. ERR_TASK_GOLD. */
  gold(name: string, count: number, first = 0): number {
    const value = this.#record[name];
    const index = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
    if (typeof index === "boolean" && count === 2) return Number(index);
    if (typeof index !== "number") return this.fail(name, "the number of the right answer", "ERR_TASK_GOLD");
    if (!Number.isInteger(index) || index < first || index >= first + count)
      return this.fail(name, `a whole number from ${first} to ${first + count - 1}`, "ERR_TASK_GOLD");
    return index - first;
  }

  fail(name: string, expected: string, code: ErrorCode = "ERR_TASK_FIELD"): never {
    throw new EspalierError(code, `${this.where}: ${name}: expected ${expected}, found ${show(this.#record[name])}`);
  }
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
