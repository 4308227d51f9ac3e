// SPDX-License-Identifier: Apache-2.0
/**
 * Requests to the hub: proxy, token, timeouts, and what each way of failing means.
 */
import { EnvHttpProxyAgent, fetch, type Response } from "undici";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import { version } from "../version.js";
import { Transient } from "./retry.js";
import type { HubReference, HubSettings } from "./settings.js";

const CONNECT_TIMEOUT_MS = 10_000;

/** Waiting does not help against these. */
const HOPELESS = new Set([
  "ENOTFOUND",
  "ECONNREFUSED",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "EAI_AGAIN",
  "UND_ERR_INVALID_ARG",
]);

const TLS_HINT =
  "A proxy that inspects TLS needs its certificate made known: set NODE_EXTRA_CA_CERTS to a file that holds it.";

export class HubClient implements AsyncDisposable {
  /** With a signal that also fires on stop(). */
  readonly settings: HubSettings;
  readonly #agent: EnvHttpProxyAgent;
  readonly #stop = new AbortController();

  constructor(settings: HubSettings) {
    const { timeoutMs } = settings;
    const signals = settings.signal === undefined ? [] : [settings.signal];
    this.settings = { ...settings, signal: AbortSignal.any([...signals, this.#stop.signal]) };
    this.#agent = new EnvHttpProxyAgent({
      connect: { timeout: Math.min(CONNECT_TIMEOUT_MS, timeoutMs) },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
  }

  /** One GET. Rejects with Transient when trying again may help; a status of 400 or more is an error. */
  async get(url: string, reference: HubReference, headers: Record<string, string> = {}): Promise<Response> {
    const { token, signal } = this.settings;
    let response: Response;
    try {
      // fetch drops the token where a redirect leads to another host.
      response = await fetch(url, {
        dispatcher: this.#agent,
        headers: {
          "user-agent": `espalier/${version}`,
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      throw networkError(url, error);
    }
    // 416 is the downloader's business.
    if (response.status < 400 || response.status === 416) return response;
    await response.body?.cancel().catch(() => {});
    throw this.#statusError(url, response, reference);
  }

  /** Ends every request under way. */
  stop(): void {
    this.#stop.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  #statusError(url: string, response: Response, reference: HubReference): EspalierError | Transient {
    const { status } = response;
    const { endpoint, token } = this.settings;
    const said = response.headers.get("x-error-message") ?? response.statusText;
    const what = `${url}: ${status}${said === "" ? "" : ` ${said}`}`;
    const code = response.headers.get("x-error-code");
    if (code === "GatedRepo" || (status === 403 && code === null))
      return new EspalierError("ERR_PULL_GATED", what, {
        hint: `Accept the model's terms at ${endpoint}/${reference.repo}, then set HF_TOKEN to a token of that account that may read gated models.`,
      });
    if (status === 401 || status === 403) return this.#deniedError(what, token !== null, reference);
    if (status === 404 || status === 410)
      return new EspalierError("ERR_PULL_NOT_FOUND", what, { hint: notFoundHint(code, reference, endpoint) });
    const error = new EspalierError("ERR_PULL_SERVER", what);
    if (status !== 408 && status !== 429 && status < 500) return error;
    return new Transient(error, retryAfterMs(response.headers.get("retry-after")));
  }

  /** The hub answers 401 for repositories that do not exist too, so that private ones cannot be guessed. */
  #deniedError(what: string, hasToken: boolean, reference: HubReference): EspalierError {
    const hint = hasToken
      ? `"${reference.repo}" is private or not there, or the token is not valid: check the spelling and HF_TOKEN.`
      : `"${reference.repo}" is private or not there: check the spelling, or set HF_TOKEN.`;
    return new EspalierError("ERR_PULL_DENIED", what, { hint });
  }
}

function notFoundHint(code: string | null, { repo, revision }: HubReference, endpoint: string): string {
  if (code === "RevisionNotFound") return `"${repo}" has no branch, tag or commit "${revision}".`;
  if (code === "EntryNotFound") return `The file is not in "${repo}" at "${revision}".`;
  return `Check the spelling of "${repo}" at ${endpoint}.`;
}

function retryAfterMs(header: string | null): number | null {
  if (header === null) return null;
  const seconds = Number(header);
  const until = Number.isNaN(seconds) ? Date.parse(header) - Date.now() : seconds * 1000;
  return Number.isNaN(until) ? null : Math.max(0, until);
}

interface Reason {
  name?: string;
  message?: string;
  code?: string;
  cause?: unknown;
}

/** A failed fetch or a broken body. undici hides the reason in `cause`. */
export function networkError(url: string, error: unknown): unknown {
  let reason = error as Reason;
  if (reason.name === "AbortError") return error;
  while (isRecord(reason.cause)) reason = reason.cause;
  const { code = "", message = "" } = reason;
  const certificate = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS/.test(code);
  const where = URL.canParse(url) ? new URL(url).host : url;
  const what = `${where}: ${message === "" ? String(reason.name) : message}${code === "" ? "" : ` (${code})`}`;
  const coded = new EspalierError("ERR_PULL_NETWORK", what, {
    cause: error,
    ...(certificate ? { hint: TLS_HINT } : {}),
  });
  return certificate || HOPELESS.has(code) ? coded : new Transient(coded);
}
