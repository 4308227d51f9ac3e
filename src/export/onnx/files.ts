// SPDX-License-Identifier: Apache-2.0
/**
 * model.onnx, and model.onnx_data beside it when weights stand outside. Weights are streamed into either: the lengths in
 * front of the protobuf fields around them follow from their shapes.
 */
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../../errors.js";
import { BlockWriter } from "../../files/block-writer.js";
import { version } from "../../version.js";
import type { GraphBuilder, Initializer } from "./graph-builder.js";
import { encodeGraph, encodeModelHead, encodeTensor, EXTERNAL, fieldHead, fieldNumbers } from "./proto.js";
import { tensorBytes, tensorTypes } from "./tensor-types.js";

/** 2024-03: the first with int4. */
export const IR_VERSION = 10;
/** The first with int4 and blocks in DequantizeLinear. */
export const OPSET = 21;

export const MODEL_FILE = "model.onnx";
/** As Optimum names it; transformers.js looks for no other. */
export const DATA_FILE = "model.onnx_data";

/** Large tensors begin at a page, so that runtimes can map them; small ones at a cache line. */
const PAGE_BYTES = 4096;
const LINE_BYTES = 64;

export interface OnnxFileOptions {
  /** Weights in model.onnx_data; constants of the graph stay in model.onnx. */
  external: boolean;
  onBytes: (bytes: number) => void;
}

/** Writes the files into `directory`. */
export async function writeOnnxFiles(directory: string, graph: GraphBuilder, options: OnnxFileOptions): Promise<void> {
  const initializers = [...graph.initializers.values()];
  const outside = options.external ? initializers.filter(({ constant }) => constant !== true) : [];
  const offsets = offsetsOf(outside);
  if (options.external)
    await withFile(join(directory, DATA_FILE), async (out) => {
      for (const initializer of outside) {
        await out.padTo(alignmentOf(initializer));
        await appendPieces(out, initializer, options.onBytes);
      }
    });
  await withFile(join(directory, MODEL_FILE), (out) => writeModel(out, graph, offsets, options.onBytes));
}

async function writeModel(
  out: BlockWriter,
  graph: GraphBuilder,
  offsets: ReadonlyMap<string, number>,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { nodes: node, inputs: input, outputs: output } = graph;
  const graphStart = encodeGraph({ name: "decoder", node, initializer: [], input, output });
  const fields = [...graph.initializers.values()].map((initializer) => fieldOf(initializer, offsets));
  const graphBytes = fields.reduce((sum, { head, inlineBytes }) => sum + head.length + inlineBytes, graphStart.length);
  const opsetImport = [{ domain: "", version: BigInt(OPSET) }];
  const irVersion = BigInt(IR_VERSION);
  await out.append(encodeModelHead({ irVersion, opsetImport, producerName: "espalier", producerVersion: version }));
  await out.append(fieldHead(fieldNumbers.modelGraph, graphBytes));
  await out.append(graphStart);
  for (const { initializer, head, inlineBytes } of fields) {
    await out.append(head);
    if (inlineBytes > 0) await appendPieces(out, initializer, onBytes);
  }
}

interface InitializerField {
  initializer: Initializer;
  /** Everything in front of the tensor's own bytes, or all there is. */
  head: Uint8Array;
  inlineBytes: number;
}

function fieldOf(initializer: Initializer, offsets: ReadonlyMap<string, number>): InitializerField {
  const { name, type, dims } = initializer;
  const bytes = tensorBytes(type, dims);
  const tensor = { name, dataType: tensorTypes[type], dims: dims.map(BigInt) };
  const offset = offsets.get(name);
  if (offset !== undefined) {
    const entries = { location: DATA_FILE, offset: String(offset), length: String(bytes) };
    const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
    const message = encodeTensor({ ...tensor, externalData, dataLocation: EXTERNAL });
    const head = Buffer.concat([fieldHead(fieldNumbers.graphInitializer, message.length), message]);
    return { initializer, head, inlineBytes: 0 };
  }
  const message = Buffer.concat([encodeTensor(tensor), fieldHead(fieldNumbers.tensorRawData, bytes)]);
  const head = Buffer.concat([fieldHead(fieldNumbers.graphInitializer, message.length + bytes), message]);
  return { initializer, head, inlineBytes: bytes };
}

function offsetsOf(initializers: readonly Initializer[]): Map<string, number> {
  const offsets = new Map<string, number>();
  let end = 0;
  for (const initializer of initializers) {
    const alignment = alignmentOf(initializer);
    const begin = Math.ceil(end / alignment) * alignment;
    offsets.set(initializer.name, begin);
    end = begin + tensorBytes(initializer.type, initializer.dims);
  }
  return offsets;
}

function alignmentOf({ type, dims }: Initializer): number {
  return tensorBytes(type, dims) < PAGE_BYTES ? LINE_BYTES : PAGE_BYTES;
}

async function appendPieces(out: BlockWriter, initializer: Initializer, onBytes: (bytes: number) => void) {
  let left = tensorBytes(initializer.type, initializer.dims);
  for await (const piece of initializer.pieces()) {
    left -= piece.length;
    await out.append(piece);
    onBytes(piece.length);
  }
  if (left !== 0) throw new EspalierError("ERR_INTERNAL", `${initializer.name}: ${left} bytes short of its shape`);
}

async function withFile(path: string, write: (out: BlockWriter) => Promise<void>): Promise<void> {
  const file: FileHandle = await open(path, "wx");
  try {
    const out = new BlockWriter(file);
    await write(out);
    await out.finish();
  } finally {
    await file.close();
  }
}
