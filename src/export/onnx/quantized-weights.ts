// SPDX-License-Identifier: Apache-2.0
/**
 * Matrices as the inputs of DequantizeLinear: codes [in, out], scales and zero points. Floats are quantized, round to
 * nearest by the largest value; weights that are quantized already keep their codes and scales.
 */
import { throwIfAborted } from "../../abort.js";
import { binding, type WrittenPart } from "../../binding.js";
import { namingTensor, type Checkpoint, type CheckpointTensor } from "../../checkpoint/index.js";
import { EspalierError } from "../../errors.js";
import type { Initializer } from "./graph-builder.js";
import type { FloatType, QuantizedKind } from "./tensor-types.js";

/** What a quantized matrix looks like, known before its bytes. */
export interface QuantizedForm {
  kind: QuantizedKind;
  /** Rows of `in` that share a scale; null: one for each of `out`. */
  groupSize: number | null;
  zeroPoints: boolean;
}

/** In the order DequantizeLinear takes them, which is the one their bytes must be asked for in. */
export interface QuantizedInitializers {
  inputs: Initializer[];
  attributes: { axis: number; block_size?: number };
}

/** Number formats, by what ONNX calls their codes. */
const formats: Readonly<Record<QuantizedKind, string>> = { int8: "int8", fp8: "fp8_e4m3", int4: "int4" };

/** [out, in] floats, quantized when the bytes are asked for. ERR_WEIGHT_VALUE, ERR_WEIGHT_FORMAT. */
export function quantizedInitializers(
  tensor: CheckpointTensor,
  { kind, groupSize }: Pick<QuantizedForm, "kind" | "groupSize">,
  scaleType: FloatType,
  signal?: AbortSignal,
): QuantizedInitializers {
  const options = { format: formats[kind], layout: "onnx", group: groupSize ?? 0, scaleType };
  return initializersOf(tensor, { kind, groupSize, zeroPoints: false }, scaleType, async () => {
    throwIfAborted(signal);
    return (await namingTensor(tensor, () => binding.quantizeTensor(tensor.mapped, tensor, options))).parts;
  });
}

/** A quantized weight's own codes and scales; `form` is what storedForms said. */
export function storedInitializers(
  tensor: CheckpointTensor,
  form: QuantizedForm,
  scaleType: FloatType,
  signal?: AbortSignal,
): QuantizedInitializers {
  return initializersOf(tensor, form, scaleType, () => convert(tensor, scaleType, signal));
}

/**
 * How the checkpoint's quantized weights are kept, by name; null: as floats, ONNX has no such codes or `scaleType` cannot
 * hold the scales. Reads every one: whether there are zero points, say, is nowhere written down.
 */
export async function storedForms(
  checkpoint: Checkpoint,
  scaleType: FloatType,
  signal?: AbortSignal,
): Promise<Map<string, QuantizedForm | null>> {
  const forms = new Map<string, QuantizedForm | null>();
  for (const tensor of checkpoint.tensors.values())
    if (tensor.quantized !== undefined) forms.set(tensor.name, await storedForm(tensor, scaleType, signal));
  return forms;
}

async function storedForm(
  tensor: CheckpointTensor,
  scaleType: FloatType,
  signal: AbortSignal | undefined,
): Promise<QuantizedForm | null> {
  const kind = (Object.keys(formats) as QuantizedKind[]).find((key) => formats[key] === tensor.quantized?.type);
  if (kind === undefined || tensor.quantized === undefined) return null;
  try {
    const parts = await convert(tensor, scaleType, signal);
    const grouped = parts.some(({ suffix, shape }) => suffix === "scale" && shape.length === 2);
    return {
      kind,
      groupSize: grouped ? tensor.quantized.colSpan : null,
      zeroPoints: parts.some(({ suffix }) => suffix === "zero_point"),
    };
  } catch (error) {
    if (error instanceof EspalierError && error.code === "ERR_WEIGHT_FORMAT") return null;
    throw error;
  }
}

function convert(
  tensor: CheckpointTensor,
  scaleType: FloatType,
  signal: AbortSignal | undefined,
): Promise<WrittenPart[]> {
  throwIfAborted(signal);
  const { quantized } = tensor;
  if (quantized === undefined) throw new EspalierError("ERR_INTERNAL", `${tensor.name} is not quantized`);
  return namingTensor(tensor, () => binding.convertQuantized(quantized, { layout: "onnx", scaleType }));
}

/** `make` is called once, for the codes; the rest comes out of the same work. */
function initializersOf(
  { name, rows, cols }: CheckpointTensor,
  { kind, groupSize, zeroPoints }: QuantizedForm,
  scaleType: FloatType,
  make: () => Promise<WrittenPart[]>,
): QuantizedInitializers {
  const made = new Map<string, Uint8Array>();
  const take = (suffix: string): Uint8Array => {
    const bytes = made.get(suffix);
    if (bytes === undefined) throw new EspalierError("ERR_INTERNAL", `${name}: no ${suffix}`);
    made.delete(suffix);
    return bytes;
  };
  const codePieces = async function* (): AsyncGenerator<Uint8Array> {
    for (const { suffix, data } of await make()) made.set(suffix, data);
    yield take("quantized");
  };
  const dims = groupSize === null ? [rows] : [Math.ceil(cols / groupSize), rows];
  const of = (suffix: string, type: Initializer["type"]): Initializer => ({
    name: `${name}_${suffix}`,
    type,
    dims,
    pieces: () => [take(suffix)],
  });
  const codes: Initializer = { name: `${name}_quantized`, type: kind, dims: [cols, rows], pieces: codePieces };
  return {
    inputs: [codes, of("scale", scaleType), ...(zeroPoints ? [of("zero_point", kind)] : [])],
    attributes: groupSize === null ? { axis: 1 } : { axis: 0, block_size: groupSize },
  };
}
