/** The verbs, in the order --help shows them. */
import type { Command } from "commander";
import { register as build } from "./build.js";
import { register as chat } from "./chat.js";
import { register as doctor } from "./doctor.js";
import { register as evaluate } from "./evaluate.js";
import { register as exportModel } from "./export.js";
import { register as generate } from "./generate.js";
import { register as inspect } from "./inspect.js";
import { register as logits } from "./logits.js";

export const commands: readonly ((program: Command) => void)[] = [
  inspect,
  build,
  generate,
  chat,
  logits,
  evaluate,
  exportModel,
  doctor,
];
