/** The journal of a cache: whatever was on the disk when the process was gone, the same bytes come out in the end. */
import { appendFileSync, readFileSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CacheWriter } from "../../../src/distill/cache-writer.js";
import type { TopLogits, TrainBatch } from "../../../src/train/native-trainer.js";
import { recordBytes, shardName, type TeacherLogitsPlan } from "../../../src/train/teacher-logits/index.js";
import { decodeRecord, tokensChecksum } from "../../../src/train/teacher-logits/layout.js";
import { temporaryDirectory } from "../../temporary.js";

const plan: TeacherLogitsPlan = {
  format: 1,
  espalierVersion: "0",
  teacher: { name: "t", fingerprint: "sha256:0", layers: 1 },
  vocabSize: 100_000,
  tokenizer: null,
  data: "sha256:1",
  sequenceLength: 3,
  split: "1,0,0",
  seed: 1,
  resetAttention: false,
  topK: 2,
  samples: 10,
  validationSamples: 1,
  samplesPerShard: 4,
};

function sampleOf(index: number): [TrainBatch, TopLogits] {
  const tokens = Int32Array.of(index, 2 * index, 7);
  const batch = { sequences: 1, length: 3, tokens, labels: Int32Array.of(1, -100, 2) };
  const ids = Int32Array.from({ length: 6 }, (_, i) => 99_990 + ((index + i) % 10));
  const values = Float32Array.from({ length: 6 }, (_, i) => index - i / 4);
  return [batch, { ids, values, logSumExp: Float32Array.of(index + 1, index + 2, index + 3) }];
}

async function write(directory: string, until: number, saveMs = 1e9): Promise<CacheWriter> {
  const writer = await CacheWriter.open(directory, plan, "same", saveMs);
  while (writer.samples < until) await writer.append(...sampleOf(writer.samples));
  return writer;
}

async function finished(directory: string): Promise<{ files: Record<string, string>; coverage: object }> {
  const writer = await write(directory, 11);
  const coverage = writer.coverage();
  await writer.finish();
  await writer.close();
  const names = readdirSync(directory).sort();
  expect(names).toEqual([0, 1, 2].map(shardName));
  return {
    files: Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, name), "hex")])),
    coverage,
  };
}

describe("the writer of a cache", () => {
  it.each([
    ["that was saved after every sample", 6, 0, () => {}],
    ["that was never saved within its shard", 6, 1e9, () => {}],
    ["that stopped at the end of a shard", 8, 0, () => {}],
    ["with bytes after what was saved", 6, 0, (at: string) => appendFileSync(join(at, shardName(1)), "torn")],
    ["with a shard after what was saved", 6, 0, (at: string) => writeFileSync(join(at, shardName(2)), "torn")],
    ["with less than was saved", 6, 0, (at: string) => truncateSync(join(at, shardName(0)), 5)],
    ["with a torn journal", 6, 0, (at: string) => writeFileSync(join(at, "journal.json"), "{")],
  ])("goes on from one %s", async (_what, until, saveMs, damage) => {
    const expected = await finished(temporaryDirectory());
    const directory = temporaryDirectory();
    const lost = await write(directory, until, saveMs);
    damage(directory);
    expect(await finished(directory)).toEqual(expected);
    await lost.close();
  });

  it("begins anew for another plan", async () => {
    const directory = temporaryDirectory();
    await (await write(directory, 6, 0)).close();
    const other = await CacheWriter.open(directory, plan, "another");
    expect(other.samples).toBe(0);
    await other.close();
  });

  it("keeps what it was given, and counts the probability of tokens that count", async () => {
    const directory = temporaryDirectory();
    const { coverage } = await finished(directory);
    const shard = new Uint8Array(readFileSync(join(directory, shardName(1))));
    const bytes = recordBytes(plan);
    expect(bytes).toBe(8 + 3 * (4 + 2 * 8) + 4);
    const record = decodeRecord(plan, shard.slice(bytes, 2 * bytes));
    const [batch, top] = sampleOf(5);
    expect(record).toEqual({
      tokensChecksum: tokensChecksum(batch, 0),
      values: top.values,
      ids: Uint32Array.from(top.ids),
      sums: top.logSumExp,
    });
    expect(decodeRecord(plan, shard.slice(bytes, 2 * bytes).fill(1, 20, 21))).toBeNull();
    const mass = (token: number): number => Math.exp(-token / 2 - token - 1) * (1 + Math.exp(-0.25));
    const least = expect.closeTo(mass(2), 6) as number;
    expect(coverage).toEqual({ mean: expect.closeTo((mass(0) + mass(2)) / 2, 6) as number, least });
  });
});
