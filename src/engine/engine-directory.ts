/**
 * engine.json: what an engine directory holds, written by `buildEngine` and checked on every load.
 */
import { createHash } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { binding } from "../binding.js";
import { throwIfAborted } from "../abort.js";
import { EspalierError } from "../errors.js";
import { checkKvCache, kvCacheSchema } from "./kv-cache.js";
import { checkSpec, ropeTypes, type ModelSpec } from "../model/spec.js";

/** Raised whenever engine.json or weights.bin change meaning; engines of another version are refused. */
export const ENGINE_VERSION = 1;

const tensorSchema = z.object({
  role: z.string(),
  part: z.enum(["weight", "bias"]),
  /** Absent for tensors outside the layers. */
  layer: z.int().nonnegative().optional(),
  /** Weight format id; "f32" for norms and biases. */
  format: z.string(),
  n: z.int().positive(),
  k: z.int().positive(),
  /** In weights.bin; a multiple of 64. */
  offset: z.int().nonnegative(),
  sizeBytes: z.int().nonnegative(),
  /** Hex, of the tensor's bytes. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

const engineSchema = z.object({
  engineVersion: z.int(),
  espalierVersion: z.string(),
  backend: z.literal("cpu"),
  target: z.object({ arch: z.string(), endianness: z.enum(["LE", "BE"]) }),
  spec: z.looseObject({
    family: z.string(),
    tieWordEmbeddings: z.boolean(),
    attentionBias: z.boolean(),
    attentionOutBias: z.boolean(),
    mlpBias: z.boolean(),
    normEps: z.number(),
    bosTokenId: z.int().nullable(),
    eosTokenIds: z.array(z.int()),
    padTokenId: z.int().nullable(),
    rope: z.looseObject({
      type: z.enum(ropeTypes),
      theta: z.number(),
      rotaryDim: z.int(),
      interleaved: z.literal(false),
    }),
  }),
  /** The residual stream is kept rotated (src/checkpoint/rotation.ts). */
  rotated: z.boolean(),
  kvCache: kvCacheSchema.optional(),
  /** Weight format ids used, with the layout version each was packed with. */
  layouts: z.record(z.string(), z.int()),
  weights: z.object({ file: z.literal("weights.bin"), sizeBytes: z.int().positive() }),
  tensors: z.array(tensorSchema).min(1),
  source: z.object({ name: z.string(), format: z.string(), parameters: z.int() }),
});

export type EngineTensor = z.infer<typeof tensorSchema>;
export type EngineManifest = Omit<z.infer<typeof engineSchema>, "spec"> & { spec: ModelSpec };

/** Reads and checks engine.json. ERR_ENGINE_NOT_FOUND, ERR_ENGINE_FORMAT, ERR_ENGINE_VERSION, ERR_ENGINE_TARGET. */
export async function readEngineManifest(directory: string): Promise<EngineManifest> {
  const path = join(directory, "engine.json");
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new EspalierError(
      "ERR_ENGINE_NOT_FOUND",
      `${directory} is not an engine directory: it has no readable engine.json`,
      {
        cause,
      },
    );
  }
  const manifest = parseManifest(path, text);
  checkTarget(path, manifest);
  return manifest;
}

function parseManifest(path: string, text: string): EngineManifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new EspalierError("ERR_ENGINE_FORMAT", `${path} is not valid JSON: ${(cause as Error).message}`, { cause });
  }
  const version = (json as { engineVersion?: unknown } | null)?.engineVersion;
  if (version !== ENGINE_VERSION)
    throw new EspalierError(
      "ERR_ENGINE_VERSION",
      `${path}: engineVersion: expected ${ENGINE_VERSION}, found ${String(version)}`,
    );
  const parsed = engineSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new EspalierError(
      "ERR_ENGINE_FORMAT",
      `${path}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`,
    );
  }
  const manifest = parsed.data as unknown as EngineManifest;
  checkSpec(manifest.spec, path);
  checkKvCache(manifest, path);
  return manifest;
}

function checkTarget(path: string, manifest: EngineManifest): void {
  if (manifest.target.arch !== process.arch)
    throw new EspalierError(
      "ERR_ENGINE_TARGET",
      `${path}: target.arch: expected ${process.arch} (this machine), found ${manifest.target.arch}`,
    );
  for (const { format } of manifest.tensors)
    if (!Object.hasOwn(manifest.layouts, format))
      throw new EspalierError(
        "ERR_ENGINE_FORMAT",
        `${path}: layouts.${format}: expected the version of a format in use, found none`,
      );
  const known = new Map(binding.weightFormats().map((format) => [format.id, format.layoutVersion]));
  for (const [id, version] of Object.entries(manifest.layouts)) {
    if (known.get(id) !== version)
      throw new EspalierError(
        "ERR_ENGINE_VERSION",
        `${path}: layouts.${id}: expected version ${known.get(id) ?? "(unknown format)"}, found ${version}`,
      );
  }
}

/** Reads weights.bin whole and compares every tensor's sha256. ERR_ENGINE_CHECKSUM names the first that differs. */
export async function verifyEngineChecksums(
  directory: string,
  manifest: EngineManifest,
  signal?: AbortSignal,
): Promise<void> {
  const path = join(directory, manifest.weights.file);
  const file = await open(path, "r");
  try {
    const buffer = Buffer.allocUnsafe(4 << 20);
    for (const tensor of manifest.tensors) {
      const hash = createHash("sha256");
      let position = tensor.offset;
      const end = tensor.offset + tensor.sizeBytes;
      while (position < end) {
        throwIfAborted(signal);
        const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - position), position);
        if (bytesRead === 0)
          throw new EspalierError("ERR_FILE_TRUNCATED", `${path}: expected ${end} bytes, found ${position}`);
        hash.update(buffer.subarray(0, bytesRead));
        position += bytesRead;
      }
      const found = hash.digest("hex");
      if (found !== tensor.sha256)
        throw new EspalierError(
          "ERR_ENGINE_CHECKSUM",
          `${path}: ${tensorName(tensor)}: expected sha256 ${tensor.sha256}, found ${found}`,
        );
    }
  } finally {
    await file.close();
  }
}

/** "layers.3.q_proj.weight" */
export function tensorName(tensor: { role: string; part: string; layer?: number | null | undefined }): string {
  return `${tensor.layer == null ? "" : `layers.${tensor.layer}.`}${tensor.role}.${tensor.part}`;
}
