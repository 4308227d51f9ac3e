// SPDX-License-Identifier: Apache-2.0
/**
 * bitsandbytes: every 4-bit weight says itself how it was made, in a small JSON stored as a tensor.
 */
import { open } from "node:fs/promises";
import { z } from "zod";
import { EspalierError } from "../../errors.js";
import { parseFields } from "../../model/parse-fields.js";
import { parseStrictJson } from "../strict-json.js";
import type { CheckpointTensor } from "../types.js";
import type { QuantizedModel, QuantizedModule, QuantizedWeight } from "./types.js";

const stateSchema = z.looseObject({
  quant_type: z.enum(["nf4", "fp4"]),
  blocksize: z.number().int().positive(),
  shape: z.array(z.number().int()),
  nested_blocksize: z.literal(256).nullish(),
  nested_offset: z.number().nullish(),
});

const MAX_STATE_BYTES = 65_536;

export function openBitsandbytes(quantization: Record<string, unknown>, where: string): QuantizedModel {
  if (quantization["load_in_8bit"] === true || quantization["_load_in_8bit"] === true)
    throw new EspalierError(
      "ERR_QUANT_CONFIG",
      `${where}: quantization_config.load_in_8bit: bitsandbytes is read with 4 bits (nf4, fp4); this is LLM.int8()`,
    );
  return { method: "bitsandbytes", weightOf };
}

async function weightOf(module: QuantizedModule): Promise<QuantizedWeight | null> {
  const states = ["nf4", "fp4"].map((type) => module.stored(`weight.quant_state.bitsandbytes__${type}`));
  const state = states.find((tensor) => tensor !== undefined);
  if (state === undefined) {
    if (module.stored("weight.absmax") === undefined) return null;
    throw new EspalierError("ERR_QUANT_PARTS", `${module.name}: weight.quant_state.bitsandbytes__nf4: missing`);
  }
  const where = `${state.file}: ${state.sourceName}`;
  const json = parseStrictJson(await readText(state), where, "ERR_QUANT_PARTS");
  const found = parseFields(stateSchema, json, { code: "ERR_QUANT_PARTS", where });
  const [rows, cols] = found.shape;
  if (found.shape.length !== 2 || rows !== module.rows || cols !== module.cols)
    throw new EspalierError(
      "ERR_QUANT_PARTS",
      `${where}: shape: expected [${module.rows}, ${module.cols}], found [${found.shape.join(", ")}]`,
    );
  return {
    layout: "bitsandbytes",
    type: found.quant_type,
    rowSpan: 1,
    colSpan: found.blocksize,
    acrossRows: true,
    zeros: false,
    nestedOffset: found.nested_offset ?? 0,
    activations: null,
  };
}

async function readText({ file, offset, sizeBytes, sourceName }: CheckpointTensor): Promise<string> {
  if (sizeBytes > MAX_STATE_BYTES)
    throw new EspalierError("ERR_QUANT_PARTS", `${file}: ${sourceName}: ${sizeBytes} bytes are no such JSON`);
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(sizeBytes), 0, sizeBytes, offset);
    return buffer.subarray(0, bytesRead).toString("utf8");
  } finally {
    await handle.close();
  }
}
