// SPDX-License-Identifier: Apache-2.0
/**
 * searchPrune: the light search. Candidates that meet a budget are pruned, distilled from the model for a while, and ranked
 * by their validation loss; the best one's pruned model is what comes out.
 */
import { constants } from "node:fs";
import { access, copyFile, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "../abort.js";
import { fingerprintOf, openCheckpoint } from "../checkpoint/index.js";
import { parseStrictJson } from "../checkpoint/strict-json.js";
import { distill, type DistillProgress } from "../distill/index.js";
import { EspalierError } from "../errors.js";
import { makeDirectory, toWriteError, writeDirectoryAtomically } from "../files/atomic-directory.js";
import { withOwnLock } from "../files/lock.js";
import { isRecord } from "../json.js";
import { prune, type Candidate, type PruneOptions, type PruneResult } from "../prune/index.js";
import { trainingReport } from "../train/index.js";
import { resolveSearchOptions, searchError, type ResolvedSearchOptions, type SearchOptions } from "./config.js";
import { readState, signatureOf, STATE, writeState, type SearchOutcome, type SearchState } from "./state.js";

/** Candidates count from 0, best by importance first. */
export type SearchProgress =
  /** With targetLatency: a shape was measured. */
  | { kind: "measured"; candidate: Candidate }
  | { kind: "candidates"; candidates: Candidate[]; done: number }
  | { kind: "pruning"; index: number; bytesDone: number; bytesTotal: number }
  | { kind: "training"; index: number; progress: DistillProgress }
  | { kind: "ranked"; index: number; candidates: number; outcome: SearchOutcome };

export interface SearchHooks {
  signal?: AbortSignal;
  onProgress?: (progress: SearchProgress) => void;
}

export type RankedCandidate = Candidate & SearchOutcome;

export interface SearchResult extends PruneResult {
  search: { steps: number; /** Best first. */ ranking: RankedCandidate[] };
}

const LINEAGE = "espalier.json";

interface Search extends ResolvedSearchOptions {
  /** OUT.search: what is known so far, and the candidates; gone in the end. */
  work: string;
  hooks: SearchHooks;
}

/**
 * Prunes to a budget by a light search. The same call again goes on where it stopped. ERR_ARGUMENT, ERR_PRUNE_BUDGET,
 * ERR_OUTPUT_EXISTS, ERR_SEARCH_RESUME and the errors of `distill`.
 *
 * @example
 * const search = { steps: 300, data: "corpus" };
 * await searchPrune({ model: "SmolLM2-135M", importance: "scores", targetParams: "50%", out: "pruned", search });
 */
export async function searchPrune(given: SearchOptions, hooks: SearchHooks = {}): Promise<SearchResult> {
  const options = resolveSearchOptions(given);
  const { out } = options;
  if (await isThere(out)) throw new EspalierError("ERR_OUTPUT_EXISTS", `${out} exists already`);
  const work = `${out.replace(/[/\\]+$/, "")}.search`;
  const signature = await signatureOf(options);
  throwIfAborted(hooks.signal);
  await makeDirectory(work).catch((error: unknown) => {
    throw toWriteError(error, work);
  });
  let owned = false;
  const lock = { signal: hooks.signal, busy: `${work}: another process works on this search` };
  let done = false;
  try {
    const search = { ...options, work, hooks };
    const result = await withOwnLock(join(work, ".lock"), lock, () => {
      owned = true;
      return searchIn(search, signature);
    });
    done = true;
    return result;
  } catch (error) {
    // What another process works on is its own: only who holds the lock cleans up.
    done = owned && hooks.signal?.aborted !== true && !(await hasTrained(work));
    throw error;
  } finally {
    if (done) await rm(work, { recursive: true, force: true });
  }
}

/** Whether there is anything to go on from. */
async function hasTrained(work: string): Promise<boolean> {
  const state = await readFile(join(work, STATE), "utf8").catch(() => "");
  if (/"loss"/.test(state)) return true;
  const runs = (await readdir(work).catch(() => [])).filter((name) => name.endsWith("-run"));
  const found = await Promise.all(runs.map((name) => readdir(join(work, name, "checkpoints")).catch(() => [])));
  return found.some((checkpoints) => checkpoints.length > 0);
}

async function searchIn(search: Search, signature: string): Promise<SearchResult> {
  const { work, hooks } = search;
  const state = (await readState(work, signature)) ?? (await begin(search, signature));
  const { candidates, outcomes } = state;
  hooks.onProgress?.({ kind: "candidates", candidates, done: outcomes.filter((outcome) => outcome !== null).length });
  for (const [index, candidate] of candidates.entries()) {
    throwIfAborted(hooks.signal);
    const outcome = (outcomes[index] ??= await tryOut(search, candidate, index));
    await writeState(work, state);
    await rm(runDirectory(work, index), { recursive: true, force: true }); // weights and moments: no longer needed
    hooks.onProgress?.({ kind: "ranked", index, candidates: candidates.length, outcome });
  }
  return finish(search, state);
}

async function begin({ model, prune: options, search, work, hooks }: Search, signature: string): Promise<SearchState> {
  const { signal, onProgress } = hooks;
  const { candidates = [], sourceLatencyMs } = await prune(
    { ...options, model, listCandidates: true },
    {
      ...(signal === undefined ? {} : { signal }),
      onMeasured: (candidate) => onProgress?.({ kind: "measured", candidate }),
    },
  );
  const tried = candidates.slice(0, search.candidates);
  const outcomes = tried.map(() => null);
  const latency = sourceLatencyMs === undefined ? {} : { sourceLatencyMs };
  const state: SearchState = { signature, ...latency, candidates: tried, outcomes };
  await writeState(work, state);
  return state;
}

const prunedDirectory = (work: string, index: number): string => join(work, `${index + 1}-pruned`);
const runDirectory = (work: string, index: number): string => join(work, `${index + 1}-run`);

/** Prunes the candidate and distils it. */
async function tryOut(search: Search, candidate: Candidate, index: number): Promise<SearchOutcome> {
  const { model, work, hooks } = search;
  const { signal, onProgress } = hooks;
  const student = prunedDirectory(work, index);
  const out = runDirectory(work, index);
  const more = signal === undefined ? {} : { signal };
  if (!(await isThere(student)))
    await prune(
      { ...sizesOf(search.prune, candidate, await headsOf(model)), out: student },
      { ...more, onProgress: (progress) => onProgress?.({ kind: "pruning", index, ...progress }) },
    );
  const { steps, candidates: _count, seqLength = await defaultLength(model), ...training } = search.search;
  const result = await distill(
    { ...training, seqLength, steps, teacher: model, student, out, valCheckInterval: steps, saveTopK: 0 },
    {
      ...more,
      onProgress: (progress) => {
        if (progress.kind === "noValidation") throw nothingHeldOut();
        onProgress?.({ kind: "training", index, progress });
      },
    },
  );
  const [run] = (await trainingReport([out])).runs;
  const loss = run?.validation.at(-1)?.crossEntropy ?? null;
  if (loss === null) throw nothingHeldOut();
  const lineage = await readLineage(result.model);
  return { loss, distillLoss: result.valLoss, seconds: result.seconds, data: String(lineage["data"]) };
}

function nothingHeldOut(): EspalierError {
  return searchError("data: expected documents that split holds out for validation, found none");
}

/** The candidate's sizes in place of the budget. */
function sizesOf(options: PruneOptions, row: Candidate, sourceHeads: number): PruneOptions {
  const {
    targetParams: _params,
    targetMemory: _memory,
    targetLatency: _latency,
    budgetBatch: _batch,
    budgetContext: _context,
    budgetIsl: _isl,
    budgetOsl: _osl,
    budgetWeights: _weights,
    axes: _axes,
    layers: _layers,
    ...kept
  } = options;
  const { hidden, ffn, heads, kvHeads, layers } = row;
  return {
    ...kept,
    ...{ hidden, ffn, heads, kvHeads },
    ...(kept.dropLayers === undefined ? { layers } : {}),
    mergeHeads: kept.mergeHeads === true && heads < sourceHeads,
  };
}

async function headsOf(model: string): Promise<number> {
  await using checkpoint = await openCheckpoint(model);
  return checkpoint.spec.numHeads;
}

async function defaultLength(model: string): Promise<number> {
  await using checkpoint = await openCheckpoint(model);
  return Math.min(512, checkpoint.spec.maxPositions);
}

/** OUT from the best candidate's pruned model, with the ranking in its lineage. */
async function finish(
  { model, out, work, prune: options, search, hooks }: Search,
  state: SearchState,
): Promise<SearchResult> {
  const { candidates, outcomes, sourceLatencyMs } = state;
  const order = candidates.map((_, index) => index).sort((a, b) => outcomes[a]!.loss - outcomes[b]!.loss || a - b);
  const ranking = order.map((index) => ({ ...candidates[index]!, ...outcomes[index]! }) as RankedCandidate);
  const best = prunedDirectory(work, order[0]!);
  const sizes = sizesOf(options, ranking[0]!, await headsOf(model));
  const report = await prune({ ...sizes, model, out, dryRun: true });
  const lineage = { ...(await readLineage(best)), search: await recorded(model, options, search.steps, ranking) };
  const fill = (staging: string): Promise<void> => copyModel(best, staging, lineage);
  await writeDirectoryAtomically(out, fill, { signal: hooks.signal });
  const latency = sourceLatencyMs === undefined ? {} : { sourceLatencyMs };
  return { ...report, out, candidates, ...latency, search: { steps: search.steps, ranking } };
}

async function recorded(
  model: string,
  { targetParams, targetMemory, targetLatency }: PruneOptions,
  steps: number,
  ranking: readonly RankedCandidate[],
): Promise<object> {
  await using teacher = await openCheckpoint(model);
  const target = { targetParams, targetMemory, targetLatency };
  const rows = ranking.map(({ seconds: _seconds, data: _data, ...row }) => row);
  return { ...target, teacher: await fingerprintOf(teacher), data: ranking[0]?.data, steps, ranking: rows };
}

async function copyModel(from: string, to: string, lineage: object): Promise<void> {
  for (const name of await readdir(from))
    if (name !== LINEAGE) await copyFile(join(from, name), join(to, name), constants.COPYFILE_FICLONE);
  await writeFile(join(to, LINEAGE), `${JSON.stringify(lineage, null, 2)}\n`);
}

async function readLineage(directory: string): Promise<Record<string, unknown>> {
  const path = join(directory, LINEAGE);
  const value = parseStrictJson(await readFile(path, "utf8"), path);
  return isRecord(value) ? value : {};
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
