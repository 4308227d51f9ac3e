// SPDX-License-Identifier: Apache-2.0
/**
 * GPTQ (AutoGPTQ, GPTQModel) and AWQ (AutoAWQ) checkpoints: one scheme for all quantized layers.
 */
import { z } from "zod";
import { EspalierError } from "../../errors.js";
import { parseFields } from "../../model/parse-fields.js";
import type { QuantizedModel, QuantizedModule, QuantizedWeight } from "./types.js";

const gptqSchema = z.looseObject({
  bits: z.union([z.literal(4), z.literal(8)], "expected 4 or 8"),
  group_size: z.number().int(),
  /** "gptq_v2" stores zero points as they are; before, less one. */
  checkpoint_format: z.string().nullish(),
});

const awqSchema = z.looseObject({
  bits: z.literal(4, "expected 4").nullish(),
  w_bit: z.literal(4, "expected 4").nullish(),
  group_size: z.number().int().nullish(),
  q_group_size: z.number().int().nullish(),
  version: z.string().nullish(),
});

export function openGptq(quantization: Record<string, unknown>, where: string): QuantizedModel {
  const context = { code: "ERR_QUANT_CONFIG", where, prefix: "quantization_config" } as const;
  const config = parseFields(gptqSchema, quantization, context);
  const format = config.checkpoint_format ?? "gptq";
  if (format !== "gptq" && format !== "gptq_v2")
    throw new EspalierError(
      "ERR_QUANT_CONFIG",
      `${where}: quantization_config.checkpoint_format: expected gptq or gptq_v2, found "${format}"`,
    );
  const type = config.bits === 4 ? "int4" : "int8";
  return {
    method: "gptq",
    weightOf: (module) => weightOf(module, "gptq", type, config.group_size, format === "gptq" ? 1 : 0),
  };
}

export function openAwq(quantization: Record<string, unknown>, where: string): QuantizedModel {
  const context = { code: "ERR_QUANT_CONFIG", where, prefix: "quantization_config" } as const;
  const config = parseFields(awqSchema, quantization, context);
  const version = (config.version ?? "gemm").toLowerCase();
  if (version !== "gemm")
    throw new EspalierError(
      "ERR_QUANT_CONFIG",
      `${where}: quantization_config.version: expected gemm, found "${version}"`,
    );
  const group = config.group_size ?? config.q_group_size ?? 128;
  return { method: "awq", weightOf: (module) => weightOf(module, "awq", "int4", group, 0) };
}

function weightOf(
  module: QuantizedModule,
  layout: "gptq" | "awq",
  type: string,
  group: number,
  zeroOffset: number,
): QuantizedWeight | null {
  if (module.stored("qweight") === undefined) return null;
  return {
    layout,
    type,
    rowSpan: 1,
    colSpan: group > 0 ? group : module.cols,
    acrossRows: false,
    zeros: true,
    zeroOffset,
    activations: null,
  };
}
