/**
 * buildEngine: packs a model for this machine's backend into an engine directory, one tensor in memory at a time.
 */
import { createHash } from "node:crypto";
import { open, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { endianness } from "node:os";
import { binding, type WeightTransform } from "../binding.js";
import {
  namingTensor,
  openWhole,
  rotationTransform,
  type Checkpoint,
  type CheckpointTensor,
} from "../checkpoint/index.js";
import { EspalierError } from "../errors.js";
import { throwIfAborted } from "../abort.js";
import { writeDirectoryAtomically } from "../files/atomic-directory.js";
import { BlockWriter } from "../files/block-writer.js";
import { expectedTensors, type ExpectedTensor } from "../model/families.js";
import { matchesPattern } from "../model/name-pattern.js";
import { writeTokenizerFiles } from "../tokenizer/index.js";
import { version } from "../version.js";
import { kvCacheOfModel } from "./model-kv-cache.js";
import { formatOfQuantized } from "./quantized-format.js";
import { ENGINE_VERSION, tensorName, type EngineManifest, type EngineTensor } from "./engine-directory.js";

export interface BuildOptions {
  /**
   * Weight format of all linear layers and the embedding. Default "int8-w8a8", which keeps embedding and head as
   * weight-only "int8": the head is the layer that int8 activations hurt most, and decoding it is bound by memory.
   * Quantized weights of the model stay as they are; this is then for the others, by default the floats they are.
   */
  weights?: string;
  /** Other formats for tensors whose name matches: pattern (`*` any run of characters) to format; the last match wins. */
  overrides?: Record<string, string>;
  /** Keep the residual stream rotated (src/checkpoint/rotation.ts). Default: only for "int8-w8a8", whose activations it serves. */
  rotation?: boolean;
  signal?: AbortSignal;
  onProgress?: (progress: BuildProgress) => void;
}

export interface BuildProgress {
  tensor: string;
  done: number;
  total: number;
  doneBytes: number;
}

export interface BuildReport {
  directory: string;
  sizeBytes: number;
  parameters: number;
  seconds: number;
  /** Tensors and packed bytes by format. */
  formats: Record<string, { tensors: number; bytes: number }>;
  /** Quantized weights that no format holds whole: they were packed as f16. */
  dequantized: string[];
}

const ALIGNMENT = 64;
const WRITE_CHUNK_BYTES = 4 << 20;

/**
 * @param model a Hugging Face directory or a GGUF file
 * @param outDir must not exist; appears whole or not at all
 * @example await buildEngine("SmolLM2-135M", "smollm2-int8", { weights: "int8-w8a8", overrides: { "lm_head*": "f16" } });
 */
export async function buildEngine(model: string, outDir: string, options: BuildOptions = {}): Promise<BuildReport> {
  const started = performance.now();
  checkFormats([
    ...(options.weights === undefined ? [] : [options.weights]),
    ...Object.values(options.overrides ?? {}),
  ]);
  await using checkpoint = await openWhole(model);
  const quantized = [...checkpoint.tensors.values()].some((tensor) => tensor.quantized !== undefined);
  const format = options.weights ?? (quantized ? null : "int8-w8a8");
  if (quantized && options.rotation === true)
    throw new EspalierError("ERR_ARGUMENT", `rotation: expected none with quantized weights, as ${model} has`);
  const rotated = !quantized && (options.rotation ?? format === "int8-w8a8");
  const plan = planTensors(checkpoint, format, rotated, options);
  const kvCache = await kvCacheOfModel(checkpoint);
  let manifest: EngineManifest | undefined;
  const fill = async (staging: string): Promise<void> => {
    const tensors = await writeWeights(checkpoint, join(staging, "weights.bin"), plan, options);
    await writeTokenizerFiles(checkpoint, staging);
    manifest = { ...manifestOf(checkpoint, model, tensors, rotated), ...(kvCache === undefined ? {} : { kvCache }) };
    await writeFile(join(staging, "engine.json"), `${JSON.stringify(manifest, null, 1)}\n`);
  };
  await writeDirectoryAtomically(outDir, fill, { signal: options.signal });
  const dequantized = plan.filter((planned) => planned.dequantized === true).map(({ tensor }) => tensor.name);
  const seconds = (performance.now() - started) / 1000;
  return { ...report(outDir, manifest as unknown as EngineManifest, seconds), dequantized };
}

function checkFormats(formats: string[]): void {
  const rows = binding.weightFormats();
  const known = rows.filter(({ inputScale }) => !inputScale).map(({ id }) => id);
  for (const format of formats) {
    if (known.includes(format)) continue;
    const fixed = rows.some(({ id }) => id === format);
    throw new EspalierError(
      "ERR_WEIGHT_FORMAT",
      `weights: expected one of ${known.join(", ")}, found "${format}"${fixed ? ", whose input scales floats do not have" : ""}`,
      fixed ? { hint: "Quantize the model with w8a8-static or fp8-static first; build takes it as it is." } : {},
    );
  }
}

interface PlannedTensor {
  tensor: ExpectedTensor;
  format: string;
  transform: WeightTransform | undefined;
  /** Its codes find no place; known for sure once it was packed. */
  dequantized?: boolean;
}

/** What quantized weights are packed as when no format holds their codes. */
const FLOATS = "f16";

function planTensors(
  checkpoint: Checkpoint,
  weights: string | null,
  rotated: boolean,
  options: BuildOptions,
): PlannedTensor[] {
  const expected = expectedTensors(checkpoint.spec);
  const overrides = options.overrides ?? {};
  for (const pattern of Object.keys(overrides))
    if (!expected.some((tensor) => matchesPattern(pattern, tensorName(tensor)) || matchesPattern(pattern, tensor.name)))
      throw new EspalierError("ERR_ARGUMENT", `overrides: the pattern "${pattern}" matches no tensor of this model`);
  return expected.map((tensor) => {
    const stored = checkpoint.tensors.get(tensor.name);
    if (stored?.quantized !== undefined) return planQuantized(tensor, stored, overrides);
    const floats = stored?.type === "f16" || stored?.type === "bf16" ? stored.type : "f32";
    return {
      tensor,
      format: formatOf(tensor, usualFormat(tensor, weights ?? floats), overrides),
      transform: rotated ? rotationTransform(checkpoint, expected, tensor, "layers") : undefined,
    };
  });
}

/** Codes stay codes; an override can only ask for floats. */
function planQuantized(
  tensor: ExpectedTensor,
  stored: CheckpointTensor,
  overrides: Record<string, string>,
): PlannedTensor {
  const own = formatOfQuantized(stored);
  const wanted = formatOf(tensor, own ?? FLOATS, overrides);
  if (wanted !== own && !["f32", "f16", "bf16"].includes(wanted))
    throw new EspalierError(
      "ERR_WEIGHT_FORMAT",
      `overrides: ${tensor.name} is quantized already (${stored.type}); expected f32, f16 or bf16, found ${wanted}`,
    );
  return { tensor, format: wanted, transform: undefined, dequantized: own === null };
}

/** What `weights` means for a tensor of floats: see BuildOptions. */
function usualFormat({ role }: ExpectedTensor, weights: string): string {
  const outside = role === "embed_tokens" || role === "lm_head";
  return weights === "int8-w8a8" && outside ? "int8" : weights;
}

/** Format of one tensor; vectors stay plain floats. */
function formatOf(tensor: ExpectedTensor, weights: string, overrides: Record<string, string>): string {
  if (tensor.shape.length === 1) return "vector";
  let format = weights;
  for (const [pattern, wanted] of Object.entries(overrides))
    if (matchesPattern(pattern, tensorName(tensor)) || matchesPattern(pattern, tensor.name)) format = wanted;
  return format;
}

async function writeWeights(
  checkpoint: Checkpoint,
  path: string,
  plan: PlannedTensor[],
  options: BuildOptions,
): Promise<EngineTensor[]> {
  const file = await open(path, "wx");
  try {
    const out = new BlockWriter(file);
    const tensors: EngineTensor[] = [];
    for (const [index, planned] of plan.entries()) {
      throwIfAborted(options.signal);
      tensors.push(await writeTensor(checkpoint, out, planned));
      await out.padTo(ALIGNMENT);
      const tensor = tensorName(planned.tensor);
      options.onProgress?.({ tensor, done: index + 1, total: plan.length, doneBytes: out.position });
    }
    await out.finish();
    return tensors;
  } finally {
    await file.close();
  }
}

async function writeTensor(checkpoint: Checkpoint, out: BlockWriter, planned: PlannedTensor): Promise<EngineTensor> {
  const { tensor } = planned;
  const packed = await packWhole(checkpoint, planned);
  const { format } = planned;
  const offset = out.position;
  const hash = createHash("sha256");
  for (let at = 0; at < packed.length; at += WRITE_CHUNK_BYTES) {
    const chunk = packed.subarray(at, at + WRITE_CHUNK_BYTES);
    hash.update(chunk);
    await out.append(chunk);
  }
  const [rows = 1, cols = 1] = tensor.shape;
  return {
    role: tensor.role,
    part: tensor.part,
    ...(tensor.layer === null ? {} : { layer: tensor.layer }),
    format: format === "vector" ? "f32" : format,
    n: rows,
    k: tensor.shape.length === 1 ? 1 : cols,
    offset,
    sizeBytes: packed.length,
    sha256: hash.digest("hex"),
  };
}

/** Quantized weights whose codes do not fit after all (columns grouped in another order) become floats. */
async function packWhole(checkpoint: Checkpoint, planned: PlannedTensor): Promise<Uint8Array> {
  try {
    return await pack(checkpoint, planned);
  } catch (error) {
    const quantized = checkpoint.tensors.get(planned.tensor.name)?.quantized !== undefined;
    if (!quantized || !(error instanceof EspalierError) || error.code !== "ERR_WEIGHT_FORMAT") throw error;
    planned.format = FLOATS;
    planned.dequantized = true;
    return pack(checkpoint, planned);
  }
}

/** Packs one tensor; an error names the file and the tensor. */
async function pack(
  checkpoint: Checkpoint,
  { tensor: { name }, format, transform }: PlannedTensor,
): Promise<Uint8Array> {
  const source = checkpoint.tensors.get(name);
  if (source === undefined)
    throw new EspalierError("ERR_INTERNAL", `${checkpoint.path}: ${name} was checked but is missing`);
  return namingTensor(source, () => binding.packTensor(source.mapped, source, format, transform));
}

function manifestOf(checkpoint: Checkpoint, model: string, tensors: EngineTensor[], rotated: boolean): EngineManifest {
  const versions = new Map(binding.weightFormats().map((row) => [row.id, row.layoutVersion]));
  const used = [...new Set(tensors.map((tensor) => tensor.format))].sort();
  const last = tensors.at(-1);
  const end = last === undefined ? 0 : last.offset + last.sizeBytes;
  return {
    engineVersion: ENGINE_VERSION,
    espalierVersion: version,
    backend: "cpu",
    target: { arch: process.arch, endianness: endianness() },
    spec: checkpoint.spec,
    rotated,
    layouts: Object.fromEntries(used.map((format) => [format, versions.get(format) ?? 0])),
    weights: { file: "weights.bin", sizeBytes: Math.ceil(end / ALIGNMENT) * ALIGNMENT },
    tensors,
    source: {
      name: basename(model),
      format: checkpoint.format,
      parameters: tensors.reduce((sum, tensor) => sum + tensor.n * tensor.k, 0),
    },
  };
}

function report(outDir: string, manifest: EngineManifest, seconds: number): Omit<BuildReport, "dequantized"> {
  const formats: BuildReport["formats"] = {};
  for (const tensor of manifest.tensors) {
    const row = (formats[tensor.format] ??= { tensors: 0, bytes: 0 });
    row.tensors += 1;
    row.bytes += tensor.sizeBytes;
  }
  return {
    directory: outDir,
    sizeBytes: manifest.weights.sizeBytes,
    parameters: manifest.source.parameters,
    seconds,
    formats,
  };
}
