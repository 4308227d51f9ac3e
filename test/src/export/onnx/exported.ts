/** An exported model, read back. */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { openCheckpoint } from "../../../../src/checkpoint/index.js";
import { exportOnnx, type OnnxExportResult, type OnnxOptions } from "../../../../src/export/onnx/index.js";
import { decodeModel, type ModelProto, type TensorProto } from "../../../../src/export/onnx/proto.js";

export interface Exported {
  path: string;
  model: ModelProto;
  result: OnnxExportResult;
}

/** `source` exported into the new directory `target`. */
export async function exportTo(target: string, source: string, options: OnnxOptions = {}): Promise<Exported> {
  await using checkpoint = await openCheckpoint(source);
  const result = await exportOnnx(checkpoint, target, options);
  expect(result.files).toEqual(readdirSync(target).sort());
  return { path: target, model: decodeModel(readFileSync(join(target, "model.onnx"))), result };
}

export function bytesOf(path: string, tensor: TensorProto): Uint8Array {
  if (tensor.dataLocation !== 1) return tensor.rawData!;
  const external = Object.fromEntries(tensor.externalData!.map(({ key, value }) => [key, value]));
  const begin = Number(external["offset"]);
  return readFileSync(join(path, external["location"]!)).subarray(begin, begin + Number(external["length"]));
}

/** As test/oracles/onnx_logits.py computes it. */
export function digestOf(path: string, { graph }: ModelProto): string {
  const nodes = graph.node.map(({ opType, input, output, attribute }) => {
    const attributes = attribute.map(({ name, type, i, ints }) => `${name}=${String(type === 7 ? ints : i)}`);
    return [opType, input.join(","), output.join(","), attributes.sort().join(";")].join("|");
  });
  const values = [...graph.input, ...graph.output].map(({ name, type: { tensorType } }) => {
    const dims = tensorType.shape.dim.map(({ dimParam, dimValue }) => dimParam || String(dimValue));
    return `${name}|${tensorType.elemType}|${dims.join(",")}`;
  });
  const tensors = graph.initializer.map((tensor) => {
    const data = createHash("sha256").update(bytesOf(path, tensor)).digest("hex");
    return `${tensor.name}|${tensor.dataType}|${tensor.dims.join(",")}|${data}`;
  });
  return createHash("sha256")
    .update([...nodes, ...values, ...tensors].join("\n"))
    .digest("hex");
}
