/** The tasks: a new one is a file in rows/ and a line here. */
import { EspalierError } from "../../errors.js";
import { arcChallenge, arcEasy } from "./rows/arc.js";
import { boolq } from "./rows/boolq.js";
import { gsm8k } from "./rows/gsm8k.js";
import { hellaswag } from "./rows/hellaswag.js";
import { mmlu } from "./rows/mmlu.js";
import { piqa } from "./rows/piqa.js";
import { summary } from "./rows/summary.js";
import { winogrande } from "./rows/winogrande.js";
import type { Task } from "./types.js";

export const tasks: readonly Task[] = [arcChallenge, arcEasy, boolq, gsm8k, hellaswag, mmlu, piqa, summary, winogrande];

/** ERR_TASK_UNKNOWN names those there are. */
export function findTask(name: string): Task {
  const task = tasks.find((row) => row.name === name);
  if (task !== undefined) return task;
  const known = tasks.map((row) => row.name).join(", ");
  throw new EspalierError("ERR_TASK_UNKNOWN", `tasks: expected one of ${known}, found "${name}"`);
}
