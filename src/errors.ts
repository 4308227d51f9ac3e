/**
 * Every error the package raises on purpose. `docs/errors.md` is generated from this table; a test keeps them equal.
 */

export interface ErrorEntry {
  /** What it means. */
  meaning: string;
  /** How to mend it. */
  hint: string;
}

export const errorTable = {
  ERR_ARGUMENT: {
    meaning: "An argument or option has a value that cannot be used.",
    hint: "The message names the argument, what was expected and what came.",
  },
  ERR_BINDING: {
    meaning: "The native addon could not be loaded.",
    hint: "Run `npm run build` in a clone, or install the package for your platform; `espalier doctor` shows what was found.",
  },
  ERR_INTERNAL: {
    meaning: "A defect in espalier itself.",
    hint: "Please report it with the message and what you ran.",
  },
  ERR_ISA: {
    meaning: "The instruction set asked for is unknown or cannot run on this CPU.",
    hint: "Unset ESPALIER_ISA, or choose one that `espalier doctor` lists.",
  },
  ERR_NUMERIC: {
    meaning: "A computation gave NaN or infinity.",
    hint: "The model's weights are probably damaged: check them with `espalier inspect`.",
  },
  ERR_OUT_OF_MEMORY: {
    meaning: "Memory could not be allocated.",
    hint: "Use a smaller context, batch or weight format.",
  },
  ERR_SHAPE: {
    meaning: "A tensor has another shape than expected.",
    hint: "The message names the tensor, the expected and the found shape.",
  },
  ERR_WEIGHT_VALUE: {
    meaning: "A weight is NaN or infinite.",
    hint: "The file is damaged or the training diverged; the message names the tensor.",
  },
  ERR_WORKSPACE: {
    meaning: "A kernel was given too little scratch memory.",
    hint: "A defect in espalier itself; please report it.",
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;

/** The one error class. `code` is stable; the message carries the values; `hint` says how to mend it. */
export class EspalierError extends Error {
  override readonly name = "EspalierError";
  readonly code: ErrorCode;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? errorTable[code].hint;
  }
}
