// SPDX-License-Identifier: Apache-2.0
/** Options of the ONNX export: one schema for the command line and the API. */
import { z } from "zod";
import { EspalierError } from "../../errors.js";
import { expectedTensors } from "../../model/families.js";
import { parseFields } from "../../model/parse-fields.js";
import type { ModelSpec } from "../../model/spec.js";
import { quantizedKinds, type QuantizedKind } from "./tensor-types.js";

const groupSizes = [32, 64, 128] as const;
const DEFAULT_GROUP_SIZE = 128;

const schema = z.strictObject({
  /** What activations, norms, the cache and unquantized weights are in. */
  dtype: z.enum(["f32", "f16", "bf16"]).default("f32"),
  /** What the layers' matrices are stored in. */
  quantize: z.enum(quantizedKinds).optional(),
  /** Columns that share a scale, of int4; 128 unless told otherwise. */
  groupSize: z.number().int().optional(),
  /** Weights in model.onnx_data; unless told otherwise only when they are more than 512 MB. */
  externalData: z.boolean().optional(),
  /** Quantizes the head too; a tied one then stands beside the embedding. */
  includeHead: z.boolean().default(false),
});

export type OnnxOptions = z.input<typeof schema>;

export interface ResolvedOnnxOptions {
  dtype: "f32" | "f16" | "bf16";
  quantize: QuantizedKind | null;
  /** Null: by channel, or not quantized. */
  groupSize: number | null;
  externalData: boolean | null;
  includeHead: boolean;
}

/** ERR_ARGUMENT; ERR_QUANT_GROUP_SIZE when a group does not divide a matrix's columns. */
export function resolveOnnxOptions(options: OnnxOptions, spec: ModelSpec): ResolvedOnnxOptions {
  const parsed = parseFields(schema, options, { code: "ERR_ARGUMENT", where: "export to ONNX" });
  const { dtype, quantize = null, externalData = null, includeHead } = parsed;
  if (includeHead && quantize === null)
    throw new EspalierError(
      "ERR_ARGUMENT",
      "includeHead: expected with quantize, which says what the head is stored in",
    );
  if (quantize !== "int4") {
    if (parsed.groupSize !== undefined)
      throw new EspalierError(
        "ERR_ARGUMENT",
        `groupSize ${parsed.groupSize}: only int4 has groups; ${quantize ?? "an unquantized model"} has none`,
      );
    return { dtype, quantize, groupSize: null, externalData, includeHead };
  }
  const groupSize = parsed.groupSize ?? DEFAULT_GROUP_SIZE;
  checkGroupSize(groupSize, spec);
  return { dtype, quantize, groupSize, externalData, includeHead };
}

function checkGroupSize(groupSize: number, spec: ModelSpec): void {
  const matrices = expectedTensors({ ...spec, numLayers: 1 }).filter(
    ({ linear, part, layer }) => linear && part === "weight" && layer !== null,
  );
  const divides = (size: number): boolean => matrices.every(({ shape }) => shape[1]! % size === 0);
  const working = groupSizes.filter(divides);
  if ((working as number[]).includes(groupSize)) return;
  const unfit = matrices.find(({ shape }) => shape[1]! % groupSize !== 0);
  const why =
    unfit === undefined
      ? `is none of ${groupSizes.join(", ")}`
      : `does not divide the ${unfit.shape[1]} columns of ${unfit.role}`;
  const use = working.length === 0 ? "none does for this model; use int8 or fp8" : `use ${working.join(" or ")}`;
  throw new EspalierError("ERR_QUANT_GROUP_SIZE", `group size ${groupSize} ${why}: ${use}`);
}
