/**
 * Bytes and floating-point operations that the model needs, from its shape and the engine's packed tensors. What the
 * engine really does may be more; these are what it is measured by.
 */
import type { IsaName } from "../binding.js";
import { kvBytesPerToken, type KvDtype } from "../engine/kv-cache.js";

/** What the arithmetic needs to know of an engine's tensors: rows of engine.json. */
export interface PackedTensor {
  role: string;
  part: "weight" | "bias";
  format: string;
  n: number;
  k: number;
  sizeBytes: number;
}

/** The part of a ModelSpec that bytes and operations follow from. */
export interface ModelShape {
  numLayers: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  tieWordEmbeddings: boolean;
}

export type CeilingKind = "f32" | "bf16" | "int8";

/**
 * Bytes of weights that one decode step reads: all tensors, the embedding table excepted, of which a step reads one row
 * for each sequence. A tied table is the output projection too, and counts once.
 */
export function weightBytesPerStep(shape: ModelShape, tensors: readonly PackedTensor[]): number {
  const read = tensors.filter((tensor) => tensor.role !== "embed_tokens" || shape.tieWordEmbeddings);
  return read.reduce((sum, tensor) => sum + tensor.sizeBytes, 0);
}

/**
 * Mean bytes read in one decode step of `batch` sequences. The step that gives token i + 1 attends to ISL + i tokens,
 * i = 1 .. OSL - 1: ISL + OSL / 2 on average.
 */
export function decodeStepBytes(
  shape: ModelShape,
  tensors: readonly PackedTensor[],
  cell: { isl: number; osl: number; batch: number; kvDtype: KvDtype },
): number {
  const attended = cell.batch * (cell.isl + cell.osl / 2);
  return weightBytesPerStep(shape, tensors) + attended * kvBytesPerToken(shape, cell.kvDtype);
}

/**
 * Operations of prefilling `batch` prompts of `isl` tokens: 2 for each parameter of the layers' linear weights and
 * token; 2 for each parameter of the output projection and prompt (only the last position needs logits); and causal
 * attention, 4 · heads · head_dim for every pair of a token and one it attends to (QK^T and PV).
 */
export function prefillFlops(
  shape: ModelShape,
  tensors: readonly PackedTensor[],
  cell: { isl: number; batch: number },
): number {
  const head = shape.tieWordEmbeddings ? "embed_tokens" : "lm_head";
  const parametersOf = (rows: readonly PackedTensor[]): number => rows.reduce((sum, row) => sum + row.n * row.k, 0);
  const matrices = tensors.filter((tensor) => tensor.part === "weight" && tensor.k > 1);
  const layers = parametersOf(matrices.filter((tensor) => !isOutsideLayers(tensor)));
  const output = parametersOf(matrices.filter((tensor) => tensor.role === head));
  const pairs = (cell.isl * (cell.isl + 1)) / 2;
  const attention = 4 * shape.numLayers * shape.numHeads * shape.headDim * pairs;
  return cell.batch * (2 * layers * cell.isl + 2 * output + attention);
}

function isOutsideLayers(tensor: PackedTensor): boolean {
  return tensor.role === "embed_tokens" || tensor.role === "lm_head";
}

/** Formats of the layers' linear weights, most bytes first. */
export function weightFormatsOf(tensors: readonly PackedTensor[]): string[] {
  const bytes = new Map<string, number>();
  for (const tensor of tensors)
    if (tensor.part === "weight" && tensor.k > 1 && !isOutsideLayers(tensor))
      bytes.set(tensor.format, (bytes.get(tensor.format) ?? 0) + tensor.sizeBytes);
  return [...bytes].sort((a, b) => b[1] - a[1]).map(([format]) => format);
}

/** The arithmetic that a format's kernels do on an ISA. */
export function ceilingKindOf(format: string | undefined, isa: IsaName): CeilingKind {
  if (format?.startsWith("int8-w8a8") === true) return "int8";
  return format === "bf16" && isa === "avx512_bf16" ? "bf16" : "f32";
}
