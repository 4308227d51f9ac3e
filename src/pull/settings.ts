// SPDX-License-Identifier: Apache-2.0
/**
 * Where pull fetches from and keeps what it fetched: options first, then the environment variables that Hugging Face's
 * own tools read, then their defaults.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { EspalierError } from "../errors.js";

export interface PullProgress {
  /** Path of the file inside the repository. */
  file: string;
  fileReceivedBytes: number;
  fileTotalBytes: number | null;
  /** Over all files, what was in the cache already among them. */
  receivedBytes: number;
  totalBytes: number | null;
}

export interface PullOptions {
  /** Also copies the files into this directory, which must not exist yet. */
  outDir?: string;
  /** The Hugging Face cache. Default: HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub. */
  cacheDir?: string;
  /** Branch, tag or commit. Default: "main", or what follows "@" in the reference. */
  revision?: string;
  /** The file to take from a repository with several GGUF files. */
  file?: string;
  /** Access token. Default: HF_TOKEN, or the one `hf auth login` saved. */
  token?: string;
  /** Address of the hub. Default: HF_ENDPOINT, or https://huggingface.co. */
  endpoint?: string;
  signal?: AbortSignal;
  onProgress?: (progress: PullProgress) => void;
  /** One line about what is fetched from where, and about every retry. */
  onMessage?: (message: string) => void;
  /** Milliseconds without a byte after which a connection counts as lost. Default: 30000. */
  timeoutMs?: number;
  /** Milliseconds before the first retry; each later one doubles it. Default: 1000. */
  retryDelayMs?: number;
}

export interface HubSettings {
  endpoint: string;
  cacheDir: string;
  token: string | null;
  /** HF_HUB_OFFLINE: use the cache and nothing else. */
  offline: boolean;
  timeoutMs: number;
  retryDelayMs: number;
  signal: AbortSignal | undefined;
  onMessage: (message: string) => void;
}

type Environment = Readonly<Record<string, string | undefined>>;

function variable(environment: Environment, ...names: string[]): string | undefined {
  return names.map((name) => environment[name]).find((value) => value !== undefined && value !== "");
}

function cacheHome(environment: Environment): string {
  return variable(environment, "XDG_CACHE_HOME") ?? join(homedir(), ".cache");
}

export function hubSettings(options: PullOptions, environment: Environment = process.env): HubSettings {
  const hubHome = variable(environment, "HF_HOME") ?? join(cacheHome(environment), "huggingface");
  const offline = variable(environment, "HF_HUB_OFFLINE") ?? "0";
  return {
    endpoint: checkEndpoint(options.endpoint ?? variable(environment, "HF_ENDPOINT") ?? "https://huggingface.co"),
    cacheDir:
      options.cacheDir ?? variable(environment, "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") ?? join(hubHome, "hub"),
    token:
      options.token ?? variable(environment, "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") ?? savedToken(environment, hubHome),
    offline: !["0", "false", "no", "off"].includes(offline.toLowerCase()),
    timeoutMs: options.timeoutMs ?? 30_000,
    retryDelayMs: options.retryDelayMs ?? 1000,
    signal: options.signal,
    onMessage: options.onMessage ?? (() => {}),
  };
}

function checkEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol))
    throw new EspalierError("ERR_ARGUMENT", `endpoint: expected an http or https address, found "${endpoint}"`);
  return endpoint.replace(/\/+$/, "");
}

function savedToken(environment: Environment, hubHome: string): string | null {
  try {
    const path = variable(environment, "HF_TOKEN_PATH") ?? join(hubHome, "token");
    return readFileSync(path, "utf8").trim() || null;
  } catch {
    return null;
  }
}

export interface HubReference {
  repo: string;
  revision: string;
}

/** Parses `name`, `org/name`, either with `@revision`, or the address of a model's page. */
export function parseReference(reference: string, options: PullOptions, endpoint: string): HubReference {
  const path = reference.startsWith(`${endpoint}/`) ? reference.slice(endpoint.length + 1) : reference;
  const match = /^([\w.-]+(?:\/[\w.-]+)?)(?:(?:@|\/tree\/)([\w./-]+))?\/?$/.exec(path);
  const repo = match?.[1];
  // The same rules as the hub's: they also keep the name from leaving the cache folder.
  if (repo === undefined || /--|\.\.|(^|\/)[.-]|[.-](\/|$)/.test(repo))
    throw new EspalierError(
      "ERR_ARGUMENT",
      `model: expected an id of the Hugging Face hub such as "org/name" or "org/name@revision", found "${reference}"`,
    );
  const revision = options.revision ?? match?.[2] ?? "main";
  if (!/^[\w./-]+$/.test(revision) || revision.split("/").some((part) => part === "" || part.startsWith(".")))
    throw new EspalierError("ERR_ARGUMENT", `revision: expected a branch, tag or commit, found "${revision}"`);
  return { repo, revision };
}
