// SPDX-License-Identifier: Apache-2.0
/**
 * What a repository holds, and which of it a model needs.
 */
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import type { HubClient } from "./hub-client.js";
import { withRetries } from "./retry.js";
import type { HubReference } from "./settings.js";

export interface RepoFile {
  path: string;
  sizeBytes: number;
  hash: string;
}

export interface RepoListing {
  commit: string;
  files: RepoFile[];
}

const SMALL_FILES = new Set([
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "chat_template.json",
  "tokenizer.model",
  "spiece.model",
  "vocab.json",
  "vocab.txt",
  "merges.txt",
]);

const SHARD = /^model-\d{5}-of-\d{5}\.safetensors$/;

/** Asks the hub for the commit of the revision and its files. */
export async function listRepo(client: HubClient, reference: HubReference): Promise<RepoListing> {
  const { repo, revision } = reference;
  const url = `${client.settings.endpoint}/api/models/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const body = await withRetries(client.settings, async () => {
    const response = await client.get(url, reference);
    return response.json().catch(() => undefined);
  });
  return parseListing(body, url);
}

function parseListing(body: unknown, url: string): RepoListing {
  const { sha, siblings } = isRecord(body) ? body : {};
  if (typeof sha !== "string" || !/^[0-9a-f]{7,64}$/.test(sha)) throw badResponse(url, "sha: expected a commit", sha);
  if (!Array.isArray(siblings)) throw badResponse(url, "siblings: expected an array", siblings);
  return { commit: sha, files: siblings.map((entry: unknown, index) => parseFile(entry, `siblings[${index}]`, url)) };
}

function parseFile(entry: unknown, field: string, url: string): RepoFile {
  const { rfilename: path, size, blobId, lfs } = isRecord(entry) ? entry : {};
  if (typeof path !== "string" || !isSafePath(path))
    throw badResponse(url, `${field}.rfilename: expected a path inside the repository`, path);
  const [hash, sizeBytes] = isRecord(lfs) ? [lfs["sha256"], lfs["size"] ?? size] : [blobId, size];
  if (typeof sizeBytes !== "number" || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
    throw badResponse(url, `${field}.size of ${path}: expected a number of bytes`, sizeBytes);
  if (typeof hash !== "string" || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash))
    throw badResponse(url, `${field}: expected the sha256 or git sha1 of ${path}`, hash);
  return { path, sizeBytes, hash };
}

/** The server names files that are then written: nothing may lead out of the folder. */
function isSafePath(path: string): boolean {
  return path.split("/").every((part) => part !== "" && part !== "." && part !== ".." && !/[\\:\0]/.test(part));
}

function badResponse(url: string, expected: string, found: unknown): EspalierError {
  const shown = found === undefined ? "nothing" : JSON.stringify(found).slice(0, 80);
  return new EspalierError("ERR_PULL_RESPONSE", `${url}: ${expected}, found ${shown}`);
}

/** The files a model is loaded from: safetensors with what belongs to them, or one GGUF file. */
export function selectFiles(files: readonly RepoFile[], repo: string, wanted: string | undefined): RepoFile[] {
  if (wanted !== undefined) {
    const file = files.find(({ path }) => path === wanted);
    if (file !== undefined) return [file];
    throw new EspalierError("ERR_PULL_NOT_FOUND", `${repo}: there is no file "${wanted}"; ${offer(files)}`);
  }
  const weights = selectSafetensors(files);
  if (weights.length > 0) return [...files.filter(isSmall), ...weights];
  const ggufs = files.filter(({ path }) => path.endsWith(".gguf"));
  const [only] = ggufs;
  if (only !== undefined && ggufs.length === 1) return [only];
  throw new EspalierError("ERR_PULL_WEIGHTS", `${repo}: no one set of weights to take; ${offer(files)}`);
}

function offer(files: readonly RepoFile[]): string {
  const ggufs = files.filter(({ path }) => path.endsWith(".gguf")).map(({ path }) => path);
  if (ggufs.length > 0) return `choose one of the GGUF files with the option "file": ${ggufs.join(", ")}`;
  const others = files.map(({ path }) => path).filter((path) => /\.(bin|pt|pth|ckpt|h5|onnx|msgpack)$/.test(path));
  return others.length > 0 ? `it holds only ${others.slice(0, 5).join(", ")}` : "it holds no weights";
}

function isSmall({ path }: RepoFile): boolean {
  return SMALL_FILES.has(path) || /^additional_chat_templates\/[^/]+\.jinja$/.test(path);
}

/** One file, or shards with their index; else what single file there is beside variants and adapters. */
function selectSafetensors(files: readonly RepoFile[]): RepoFile[] {
  const named = (test: (path: string) => boolean): RepoFile[] => files.filter(({ path }) => test(path));
  const single = named((path) => path === "model.safetensors");
  if (single.length > 0) return single;
  const index = named((path) => path === "model.safetensors.index.json");
  const shards = named((path) => SHARD.test(path));
  if (index.length > 0 && shards.length > 0) return [...index, ...shards];
  const rest = named((path) => /^[^/]+\.safetensors$/.test(path) && !/^(adapter_model|consolidated)/.test(path));
  return rest.length === 1 ? rest : [];
}
