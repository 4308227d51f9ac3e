/** Tiny quantized checkpoints under test/fixtures/quantized, made by test/oracles/{gptq_awq,compressed_tensors_checkpoints,bitsandbytes_checkpoints}.py. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { TensorBytes } from "../../../model-files.js";

const root = join(__dirname, "../../../fixtures/quantized");

/** The float model that most of them are made of. */
export const sourceModel = join(root, "source");

export const quantizedModels: readonly string[] = readdirSync(root).filter((name) => name !== "source");

export const quantizedModel = (name: string): string => join(root, name);

export interface ExpectedModel {
  ids: number[];
  /** [ids.length, vocab_size] of transformers over the dequantized weights. */
  logits: Float32Array;
  /** Tensor to the sha256 of its values in f32. */
  dequantized: Record<string, string>;
}

export function expectedModel(name: string): ExpectedModel {
  const json = JSON.parse(readFileSync(join(root, name, "expected.json"), "utf8")) as Omit<ExpectedModel, "logits"> & {
    logits: string;
  };
  return { ...json, logits: new Float32Array(Uint8Array.from(Buffer.from(json.logits, "base64")).buffer) };
}

/** The tensors of a .safetensors file, as bytes that a test may change. */
export function readSafetensors(path: string): TensorBytes[] {
  const bytes = readFileSync(path);
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, end).toString("utf8")) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => ({
        name,
        dtype,
        shape,
        bytes: Buffer.from(bytes.subarray(end + from, end + to)),
      }),
    );
}

export function readConfig(name: string): Record<string, unknown> & { quantization_config: Record<string, unknown> } {
  return JSON.parse(readFileSync(join(root, name, "config.json"), "utf8")) as never;
}
