// SPDX-License-Identifier: Apache-2.0
/** checkHooks: what is called while work goes on, looked at before it begins. */
import { EspalierError } from "./errors.js";
import { isRecord } from "./json.js";
import { show } from "./model/parse-fields.js";

/** ERR_ARGUMENT: `signal` is no AbortSignal, or another hook no function. */
export function checkHooks(hooks: unknown, where: string): void {
  const refuse = (what: string, value: unknown): never => {
    throw new EspalierError("ERR_ARGUMENT", `${where}: ${what}, found ${show(value)}`);
  };
  if (!isRecord(hooks)) return refuse("hooks: expected an object", hooks);
  for (const [name, value] of Object.entries(hooks)) {
    if (value === undefined) continue;
    if (name === "signal") {
      if (!isSignal(value)) refuse("signal: expected an AbortSignal", value);
    } else if (typeof value !== "function") refuse(`${name}: expected a function`, value);
  }
}

/** By its shape: other realms and libraries have classes of their own. */
function isSignal(value: unknown): boolean {
  const signal = value as Partial<AbortSignal> | null;
  return typeof signal?.aborted === "boolean" && typeof signal.addEventListener === "function";
}
