/**
 * A Hugging Face hub on 127.0.0.1: the listing and small files on one port, large files redirected to a "CDN" on
 * another. Faults are queued per path and used up one request at a time.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Fault =
  | { status: number; headers?: Record<string, string> }
  /** Sends so many bytes of what was asked for, then breaks the connection. */
  | { dropAfter: number }
  /** Sends so many bytes, then nothing more. */
  | { hangAfter: number }
  /** Sends other bytes. */
  | { corrupt: true }
  /** Answers a range with the whole file. */
  | { ignoreRange: true };

export interface SeenRequest {
  path: string;
  range: string | undefined;
  authorization: string | undefined;
  onCdn: boolean;
}

export interface MockRepo {
  commit: string;
  files: Record<string, Buffer>;
  /** Paths in large-file storage. */
  large: string[];
}

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export function gitSha1(content: Buffer): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

export function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

export class MockHub {
  readonly repos = new Map<string, MockRepo>();
  readonly requests: SeenRequest[] = [];
  /** By file path; "listing" is the API's answer. */
  readonly faults = new Map<string, Fault[]>();
  /** Replaces the listing. */
  listing: unknown = undefined;
  readonly #hub: Server = createServer((request, response) => this.#answer(request, response, false));
  readonly #cdn: Server = createServer((request, response) => this.#answer(request, response, true));

  async start(): Promise<void> {
    for (const server of [this.#hub, this.#cdn])
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  get endpoint(): string {
    return address(this.#hub);
  }

  /** Forgets what was asked and queued. */
  reset(): void {
    this.requests.length = 0;
    this.faults.clear();
    this.repos.clear();
    this.listing = undefined;
  }

  add(repo: string, files: Record<string, Buffer | string>, large: string[] = []): MockRepo {
    const buffers = Object.fromEntries(Object.entries(files).map(([path, content]) => [path, Buffer.from(content)]));
    const entry = { commit: COMMIT, files: buffers, large };
    this.repos.set(repo, entry);
    return entry;
  }

  /** Requests for the bytes of a file. */
  fetches(path: string): SeenRequest[] {
    return this.requests.filter((request) => request.path.endsWith(`/${path}`) && !isRedirected(this, request));
  }

  #answer(request: IncomingMessage, response: ServerResponse, onCdn: boolean): void {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname);
    const { range, authorization } = request.headers;
    this.requests.push({ path, range, authorization, onCdn });
    const listing = /^\/api\/models\/(.+)\/revision\/(.+)$/.exec(path);
    if (listing !== null) return this.#list(listing[1] as string, listing[2] as string, response);
    const [, repo = "", , file = ""] = /^\/(.+)\/resolve\/([^/]+)\/(.+)$/.exec(path) ?? [];
    const entry = this.repos.get(repo);
    const content = entry?.files[file];
    if (entry === undefined || content === undefined) return send(response, 404, { "x-error-code": "EntryNotFound" });
    if (entry.large.includes(file) && !onCdn)
      return send(response, 302, { location: `${address(this.#cdn)}${request.url}` });
    serve(response, content, range, this.faults.get(file)?.shift());
  }

  #list(repo: string, revision: string, response: ServerResponse): void {
    const fault = this.faults.get("listing")?.shift();
    if (fault !== undefined && "status" in fault) return send(response, fault.status, fault.headers ?? {});
    const entry = this.repos.get(repo);
    if (entry === undefined) return send(response, 404, { "x-error-code": "RepoNotFound" });
    if (!["main", "refs/pr/1", entry.commit].includes(revision))
      return send(response, 404, { "x-error-code": "RevisionNotFound" });
    const siblings = Object.entries(entry.files).map(([rfilename, content]) => ({
      rfilename,
      size: content.length,
      blobId: gitSha1(content),
      ...(entry.large.includes(rfilename) ? { lfs: { sha256: sha256(content), size: content.length } } : {}),
    }));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(this.listing ?? { id: repo, sha: entry.commit, siblings }));
  }
}

function isRedirected(hub: MockHub, request: SeenRequest): boolean {
  return (
    !request.onCdn && [...hub.repos.values()].some(({ large }) => large.some((file) => request.path.endsWith(file)))
  );
}

function address(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function send(response: ServerResponse, status: number, headers: Record<string, string>): void {
  response.writeHead(status, headers).end();
}

function serve(response: ServerResponse, content: Buffer, range: string | undefined, fault: Fault | undefined): void {
  if (fault !== undefined && "status" in fault) return send(response, fault.status, fault.headers ?? {});
  const ignored = fault !== undefined && "ignoreRange" in fault;
  const from = range === undefined || ignored ? 0 : Number(/^bytes=(\d+)-$/.exec(range)?.[1]);
  if (from > 0 && from >= content.length) return send(response, 416, { "content-range": `bytes */${content.length}` });
  const rest = content.subarray(from);
  const headers = { "content-length": String(rest.length), "accept-ranges": "bytes" };
  if (from > 0)
    response.writeHead(206, { ...headers, "content-range": `bytes ${from}-${content.length - 1}/${content.length}` });
  else response.writeHead(200, headers);
  if (fault === undefined || ignored) return void response.end(rest);
  if ("corrupt" in fault) return void response.end(Buffer.alloc(rest.length, 7));
  const sent = "dropAfter" in fault ? fault.dropAfter : (fault as { hangAfter: number }).hangAfter;
  response.write(rest.subarray(0, sent), () => {
    // A moment for the bytes to arrive: a reset may overtake them.
    if ("dropAfter" in fault) setTimeout(() => response.destroy(), 50);
  });
}
