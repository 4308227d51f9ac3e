/**
 * Reads tensors off the event loop, as float32 whatever they are stored in.
 */
import { binding, type WeightTransform } from "../binding.js";
import { EspalierError, toEspalierError } from "../errors.js";
import type { CheckpointTensor } from "./types.js";

let readable: string[] | undefined;

/** Stored types that can be read: "f32", "q4_1", ... */
export function readableTypes(): readonly string[] {
  readable ??= binding.sourceTypes().map((type) => type.name);
  return readable;
}

export interface RowRange {
  rowBegin?: number;
  rowCount?: number;
}

/**
 * Rows of a tensor (all unless told otherwise) as float32, row-major.
 *
 * @example const embedding = await readTensor(checkpoint.tensors.get("model.embed_tokens.weight"))
 */
export async function readTensor(tensor: CheckpointTensor, range: RowRange = {}): Promise<Float32Array> {
  const rowCount = range.rowCount ?? tensor.rows;
  checkReadable(tensor);
  const out = allocate(() => new Float32Array(rowCount * tensor.cols), tensor);
  await readInto(tensor, { ...range, rowCount, dtype: "f32" }, out);
  return out;
}

/** Bytes of rows of a tensor, transformed, rounded to `dtype`. ERR_WEIGHT_VALUE when a finite value overflows. */
export async function readTensorAs(
  tensor: CheckpointTensor,
  dtype: "f32" | "f16" | "bf16",
  range: RowRange & { transform?: WeightTransform } = {},
): Promise<Uint8Array> {
  const rowCount = range.rowCount ?? tensor.rows;
  checkReadable(tensor);
  const out = allocate(() => new Uint8Array(rowCount * tensor.cols * (dtype === "f32" ? 4 : 2)), tensor);
  await readInto(tensor, { ...range, rowCount, dtype }, out);
  return out;
}

/** ERR_GGUF_TYPE or ERR_TENSOR_DTYPE when the stored type cannot be read. */
export function checkReadable(tensor: CheckpointTensor): void {
  if (tensor.quantized !== undefined || readableTypes().includes(tensor.type)) return;
  const code = tensor.file.endsWith(".safetensors") ? "ERR_TENSOR_DTYPE" : "ERR_GGUF_TYPE";
  throw new EspalierError(
    code,
    `${tensor.file}: tensor "${tensor.sourceName}" is stored as ${tensor.type}, which is not read; ` +
      `read are ${readableTypes().join(", ")}`,
  );
}

async function readInto(
  tensor: CheckpointTensor,
  range: RowRange & { dtype: "f32" | "f16" | "bf16"; transform?: WeightTransform },
  out: Float32Array | Uint8Array,
): Promise<void> {
  try {
    await binding.readTensor(tensor.mapped, tensor, range, new Uint8Array(out.buffer));
  } catch (error) {
    throw toEspalierError(error);
  }
}

function allocate<T>(make: () => T, tensor: CheckpointTensor): T {
  try {
    return make();
  } catch (error) {
    throw new EspalierError("ERR_OUT_OF_MEMORY", `no memory for tensor "${tensor.name}" [${tensor.shape.join(", ")}]`, {
      cause: error,
    });
  }
}
