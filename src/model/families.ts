/**
 * Expands the native family table for a model: every tensor it must have, with names, shape and role.
 */
import { binding, type Family, type TensorPattern } from "../binding.js";
import { EspalierError } from "../errors.js";
import type { ModelSpec } from "./spec.js";

export interface ExpectedTensor {
  role: string;
  part: "weight" | "bias";
  /** null outside the layers */
  layer: number | null;
  /** Hugging Face name. */
  name: string;
  ggufName: string;
  /** [rows, cols], or [n] of a vector. */
  shape: number[];
  /** What rows and columns stand for; "heads" and "kvHeads" are rows of head_dim each. */
  dims: readonly [rows: TensorPattern["rows"], cols: TensorPattern["cols"]];
  linear: boolean;
  /** Heads to permute when this tensor is read from or written to GGUF; 0: none. */
  ggufPermuteHeads: number;
}

let table: Family[] | undefined;

/** All families the package knows. */
export function families(): readonly Family[] {
  table ??= binding.families();
  return table;
}

/** The family of that id. */
export function familyOf(id: string): Family {
  const family = families().find((row) => row.id === id);
  if (family === undefined) throw new EspalierError("ERR_MODEL_FAMILY", `unknown family "${id}": ${knownFamilies()}`);
  return family;
}

/** For messages. */
export function knownFamilies(): string {
  const names = families().map((family) => `${family.id} (${family.architectures.join(", ")})`);
  return `known are ${names.join(", ")}`;
}

/** The tensors a model of this spec has, in the order of the table, layer by layer. */
export function expectedTensors(spec: ModelSpec): ExpectedTensor[] {
  const patterns = familyOf(spec.family).tensors.filter((pattern) => isPresent(pattern, spec));
  const firstLayered = patterns.findIndex(isLayered);
  const outside = patterns.filter((pattern) => !isLayered(pattern));
  const before = outside.filter((pattern) => patterns.indexOf(pattern) < firstLayered);
  const out = before.map((pattern) => expand(pattern, spec, null));
  const layered = patterns.filter(isLayered);
  for (let layer = 0; layer < spec.numLayers; ++layer)
    for (const pattern of layered) out.push(expand(pattern, spec, layer));
  for (const pattern of outside) if (!before.includes(pattern)) out.push(expand(pattern, spec, null));
  return out;
}

/** Weights of a model of this spec, tied ones once. */
export function parameterCount(spec: ModelSpec): number {
  const sizes = expectedTensors({ ...spec, numLayers: 1 }).map(({ layer, shape }) => {
    const size = shape.reduce((product, dim) => product * dim, 1);
    return layer === null ? size : size * spec.numLayers;
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Families whose config transformers 5 refuses when heads do not divide the hidden size, even with head_dim given. */
const HEADS_DIVIDE_HIDDEN: ReadonlySet<string> = new Set(["llama"]);

export function headsMustDivideHidden(spec: ModelSpec): boolean {
  return HEADS_DIVIDE_HIDDEN.has(spec.family);
}

/** Families whose blocks read the residual stream through an RMSNorm with a plain gain, and have no norms elsewhere. */
const PLAIN_PRE_NORM: ReadonlySet<string> = new Set(["llama", "mistral"]);

export function isPlainPreNorm(family: string): boolean {
  return PLAIN_PRE_NORM.has(family);
}

/** Names of tensors that a file of this model may carry and nobody needs, in every spelling. */
export function ignorableNames(spec: ModelSpec): Set<string> {
  const family = familyOf(spec.family);
  const names = new Set<string>();
  for (const pattern of family.ignorable)
    for (let layer = 0; layer < (pattern.includes("{layer}") ? spec.numLayers : 1); ++layer)
      names.add(withLayer(pattern, layer));
  for (const pattern of family.tensors)
    if (pattern.when === "untied" && spec.tieWordEmbeddings) names.add(pattern.name).add(pattern.gguf);
  return names;
}

function isLayered(pattern: TensorPattern): boolean {
  return pattern.name.includes("{layer}");
}

function isPresent(pattern: TensorPattern, spec: ModelSpec): boolean {
  switch (pattern.when) {
    case "always":
      return true;
    case "untied":
      return !spec.tieWordEmbeddings;
    case "attentionBias":
      return spec.attentionBias;
    case "attentionOutBias":
      return spec.attentionOutBias;
    case "mlpBias":
      return spec.mlpBias;
  }
}

function withLayer(name: string, layer: number | null): string {
  return layer === null ? name : name.replace("{layer}", String(layer));
}

function expand(pattern: TensorPattern, spec: ModelSpec, layer: number | null): ExpectedTensor {
  const sizes = {
    vocab: spec.vocabSize,
    hidden: spec.hiddenSize,
    ffn: spec.intermediateSize,
    heads: spec.numHeads * spec.headDim,
    kvHeads: spec.numKvHeads * spec.headDim,
  };
  const heads = { asIs: 0, permutedHeads: spec.numHeads, permutedKvHeads: spec.numKvHeads };
  return {
    role: pattern.role,
    part: pattern.part,
    layer,
    name: withLayer(pattern.name, layer),
    ggufName: withLayer(pattern.gguf, layer),
    shape: pattern.cols === "none" ? [sizes[pattern.rows]] : [sizes[pattern.rows], sizes[pattern.cols]],
    dims: [pattern.rows, pattern.cols],
    linear: pattern.linear,
    ggufPermuteHeads: heads[pattern.ggufRows],
  };
}
