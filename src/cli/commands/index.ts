/** The verbs, in the order --help shows them. */
import type { Command } from "commander";
import { register as bench } from "./bench.js";
import { register as build } from "./build.js";
import { register as chat } from "./chat.js";
import { register as compress } from "./compress.js";
import { register as distill } from "./distill.js";
import { register as doctor } from "./doctor.js";
import { register as evaluate } from "./evaluate.js";
import { register as exportModel } from "./export.js";
import { register as generate } from "./generate.js";
import { register as importance } from "./importance.js";
import { register as inspect } from "./inspect.js";
import { register as logits } from "./logits.js";
import { register as prune } from "./prune.js";
import { register as pull } from "./pull.js";
import { register as quantize } from "./quantize.js";
import { register as quickstart } from "./quickstart.js";
import { register as report } from "./report.js";
import { register as synthesize } from "./synthesize.js";
import { register as tokenize } from "./tokenize.js";
import { register as tokenizer } from "./tokenizer.js";
import { register as train } from "./train.js";

export const commands: readonly ((program: Command) => void)[] = [
  pull,
  inspect,
  tokenizer,
  tokenize,
  train,
  importance,
  prune,
  distill,
  quantize,
  synthesize,
  compress,
  build,
  generate,
  chat,
  logits,
  evaluate,
  bench,
  exportModel,
  report,
  doctor,
  quickstart,
];
