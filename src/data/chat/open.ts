// SPDX-License-Identifier: Apache-2.0
/**
 * openChatDataset: conversations for supervised fine-tuning, whole ones packed into rows, with labels on the
 * assistant's words only. They are held in memory, five bytes a token.
 */
import { createHash } from "node:crypto";
import { EspalierError } from "../../errors.js";
import type { TokenizerSource } from "../../tokenizer/index.js";
import { WorkerClient } from "../../workers/client.js";
import { splitNames, splitRanges } from "../gpt/split.js";
import type { DatasetSplits, DataTokenizer, SampleCounts, SplitName, TokenDataset } from "../types.js";
import { ChatDataset } from "./dataset.js";
import { packRows } from "./pack.js";
import { readConversations, type Conversations } from "./read.js";
import type { ChatOperations } from "./worker.js";

export interface ChatDatasetOptions {
  /** JSON lines, also .gz: {"messages": [{role, content}, ...]} or {"prompt", "completion"}. */
  inputs: readonly string[];
  /** Its chat template renders the messages. */
  tokenizer: TokenizerSource;
  sequenceLength: number;
  /** Parts of the conversations for train, validation and test. Default: "99,1,0". */
  split?: string;
  /** Default: 1234. */
  seed?: number;
  /** Rows wanted; default: one pass each. */
  samples?: Partial<SampleCounts>;
  /** Of the model. */
  vocabSize?: number;
  /** Lines without a conversation that may be left out; one more is ERR_DATA_CHAT. Default: 0. */
  maxBadLines?: number;
  signal?: AbortSignal;
  onProgress?: (progress: { stage: "encoding"; done: number; total: number }) => void;
}

const DEFAULT_SPLIT = "99,1,0";
const DEFAULT_SEED = 1234;

/** What becomes of the conversations. */
export interface ChatDatasetSplits extends DatasetSplits {
  /** Longer than a sample: their ends were cut off. */
  readonly truncated: number;
  /** Left out: nothing of the assistant's fits a sample. */
  readonly dropped: number;
  /** Lines that hold no conversation, left out. */
  readonly badLines: number;
  /** The first few: "chat.jsonl:7: what is wrong". */
  readonly badLineExamples: readonly string[];
}

/** Whether a path names conversations rather than token files. */
export function isConversations(path: string): boolean {
  return /\.(jsonl|ndjson)(\.gz)?$/i.test(path);
}

/**
 * ERR_DATA_CHAT for a line that is no conversation, ERR_DATA_EMPTY, ERR_CHAT_TEMPLATE_MISSING, ERR_DATA_VOCABULARY.
 *
 * @example
 * await using splits = await openChatDataset({ inputs: ["chat.jsonl"], tokenizer: { directory: "SmolLM2-135M" }, sequenceLength: 512 });
 */
export async function openChatDataset(options: ChatDatasetOptions): Promise<ChatDatasetSplits> {
  const { sequenceLength, vocabSize = Infinity } = options;
  if (!(Number.isInteger(sequenceLength) && sequenceLength >= 1))
    throw new EspalierError("ERR_ARGUMENT", `sequenceLength: expected at least 1, found ${sequenceLength}`);
  const client = new WorkerClient<ChatOperations>(new URL("./worker.js", import.meta.url), "chat encoder");
  try {
    const { padTokenId, ...tokenizer } = await client.call("load", { source: options.tokenizer });
    if (tokenizer.vocabSize > vocabSize)
      throw new EspalierError(
        "ERR_DATA_VOCABULARY",
        `the tokenizer has ${tokenizer.vocabSize} tokens, the model ${vocabSize}`,
      );
    const conversations = await readConversations(options, client);
    return splitConversations(options, conversations, tokenizer, padTokenId ?? tokenizer.eodTokenId ?? 0);
  } finally {
    client.abandon();
  }
}

function splitConversations(
  options: ChatDatasetOptions,
  conversations: Conversations,
  tokenizer: DataTokenizer,
  pad: number,
): ChatDatasetSplits {
  const { sequenceLength, split = DEFAULT_SPLIT, seed = DEFAULT_SEED, samples = {} } = options;
  const count = conversations.starts.length - 1;
  const ranges = splitRanges(split, count);
  let [truncated, dropped] = [0, 0];
  const open = (name: SplitName): TokenDataset | null => {
    const kept: number[] = [];
    for (let i = ranges[name][0]; i < ranges[name][1]; ++i) {
      const [begin, end] = [conversations.starts[i]!, conversations.starts[i + 1]!];
      const fits = conversations.learned.subarray(begin + 1, Math.min(end, begin + sequenceLength + 1)).includes(1);
      if (fits) kept.push(i);
      if (!fits) dropped += 1;
      else if (end - begin > sequenceLength + 1) truncated += 1;
    }
    const wanted = samples[name] ?? null;
    if (kept.length === 0 || wanted === 0) return null;
    const places = Int32Array.from(kept, (i) =>
      Math.min(conversations.starts[i + 1]! - conversations.starts[i]! - 1, sequenceLength),
    );
    const rows = packRows({ places, sequenceLength, seed, samples: wanted });
    return new ChatDataset(
      name,
      conversations,
      rows.map((row) => row.map((i) => kept[i]!)),
      sequenceLength,
      pad,
    );
  };
  const [train, validation, test] = splitNames.map(open);
  if (train == null)
    throw new EspalierError(
      "ERR_DATA_EMPTY",
      `${options.inputs.join(", ")}: the split "${split}" of ${count} conversations leaves none for training` +
        (dropped === 0 ? "" : ` (${dropped} have no answer within ${sequenceLength} tokens)`),
    );
  const identity = [conversations.hash, sequenceLength, split, seed];
  const fingerprint = `sha256:${createHash("sha256").update(JSON.stringify(identity)).digest("hex")}`;
  const close = (): Promise<void> => Promise.resolve();
  return {
    train,
    validation: validation ?? null,
    test: test ?? null,
    fingerprint,
    tokenizer,
    truncated,
    dropped,
    badLines: conversations.badLines,
    badLineExamples: conversations.badLineExamples,
    close,
    [Symbol.asyncDispose]: close,
  };
}
