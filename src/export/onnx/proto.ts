// SPDX-License-Identifier: Apache-2.0
/**
 * The messages of onnx.proto that a decoder needs, and their bytes. Field numbers are those of ONNX IR version 10; what is
 * not listed here is never written.
 */
import { create, createFileRegistry, fromBinary, fromJson, toBinary, type DescMessage } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

export interface AttributeProto {
  name: string;
  type: number;
  i?: bigint;
  ints?: bigint[];
}

export interface NodeProto {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  attribute: AttributeProto[];
}

export interface DimensionProto {
  dimValue?: bigint;
  dimParam?: string;
}

export interface ValueInfoProto {
  name: string;
  type: { tensorType: { elemType: number; shape: { dim: DimensionProto[] } } };
}

export interface TensorProto {
  dims: bigint[];
  dataType: number;
  name: string;
  rawData?: Uint8Array;
  externalData?: { key: string; value: string }[];
  dataLocation?: number;
}

export interface GraphProto {
  name: string;
  node: NodeProto[];
  initializer: TensorProto[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
}

export interface ModelProto {
  irVersion: bigint;
  opsetImport: { domain: string; version: bigint }[];
  producerName: string;
  producerVersion: string;
  graph: GraphProto;
}

/** AttributeProto.AttributeType */
export const attributeTypes = { int: 2, ints: 7 } as const;
/** TensorProto.DataLocation */
export const EXTERNAL = 1;
/** Numbers of the fields that are written piece by piece. */
export const fieldNumbers = { modelGraph: 7, graphInitializer: 5, tensorRawData: 9 } as const;

type Label = "OPTIONAL" | "REPEATED";
type FieldRow = readonly [name: string, number: number, type: string, label?: Label];

/** Scalars in capitals, messages by name. `oneof`s are plain optional fields: the bytes are the same. */
const messageTable: Readonly<Record<string, readonly FieldRow[]>> = {
  AttributeProto: [
    ["name", 1, "STRING"],
    ["i", 3, "INT64"],
    ["ints", 8, "INT64", "REPEATED"],
    ["type", 20, "INT32"],
  ],
  NodeProto: [
    ["input", 1, "STRING", "REPEATED"],
    ["output", 2, "STRING", "REPEATED"],
    ["name", 3, "STRING"],
    ["op_type", 4, "STRING"],
    ["attribute", 5, "AttributeProto", "REPEATED"],
  ],
  Dimension: [
    ["dim_value", 1, "INT64"],
    ["dim_param", 2, "STRING"],
  ],
  TensorShapeProto: [["dim", 1, "Dimension", "REPEATED"]],
  TensorType: [
    ["elem_type", 1, "INT32"],
    ["shape", 2, "TensorShapeProto"],
  ],
  TypeProto: [["tensor_type", 1, "TensorType"]],
  ValueInfoProto: [
    ["name", 1, "STRING"],
    ["type", 2, "TypeProto"],
  ],
  StringStringEntryProto: [
    ["key", 1, "STRING"],
    ["value", 2, "STRING"],
  ],
  TensorProto: [
    ["dims", 1, "INT64", "REPEATED"],
    ["data_type", 2, "INT32"],
    ["name", 8, "STRING"],
    ["raw_data", 9, "BYTES"],
    ["external_data", 13, "StringStringEntryProto", "REPEATED"],
    ["data_location", 14, "INT32"],
  ],
  GraphProto: [
    ["node", 1, "NodeProto", "REPEATED"],
    ["name", 2, "STRING"],
    ["initializer", 5, "TensorProto", "REPEATED"],
    ["input", 11, "ValueInfoProto", "REPEATED"],
    ["output", 12, "ValueInfoProto", "REPEATED"],
  ],
  OperatorSetIdProto: [
    ["domain", 1, "STRING"],
    ["version", 2, "INT64"],
  ],
  ModelProto: [
    ["ir_version", 1, "INT64"],
    ["producer_name", 2, "STRING"],
    ["producer_version", 3, "STRING"],
    ["graph", 7, "GraphProto"],
    ["opset_import", 8, "OperatorSetIdProto", "REPEATED"],
  ],
};

const descriptors = createFileRegistry(
  fromJson(FileDescriptorProtoSchema, {
    name: "onnx.proto",
    package: "onnx",
    syntax: "proto2",
    messageType: Object.entries(messageTable).map(([name, rows]) => ({ name, field: rows.map(fieldOf) })),
  }),
  () => undefined,
);

function fieldOf([name, number, type, label = "OPTIONAL"]: FieldRow): Record<string, string | number> {
  const kind = Object.hasOwn(messageTable, type)
    ? { type: "TYPE_MESSAGE", typeName: `.onnx.${type}` }
    : { type: `TYPE_${type}` };
  return { name, number, label: `LABEL_${label}`, ...kind };
}

function descriptorOf(name: string): DescMessage {
  return descriptors.getMessage(`onnx.${name}`)!;
}

function bytesOf(name: string, message: object): Uint8Array {
  const descriptor = descriptorOf(name);
  return toBinary(descriptor, create(descriptor, message as Record<string, unknown>));
}

/** A model without its graph, which follows as the field `modelGraph`. */
export function encodeModelHead(model: Omit<ModelProto, "graph">): Uint8Array {
  return bytesOf("ModelProto", model);
}

export function encodeGraph(graph: GraphProto): Uint8Array {
  return bytesOf("GraphProto", graph);
}

/** One initializer; without `rawData` when that follows as the field `tensorRawData`. */
export function encodeTensor(tensor: TensorProto): Uint8Array {
  return bytesOf("TensorProto", tensor);
}

/** Tag and length in front of a field of `length` bytes. */
export function fieldHead(number: number, length: number): Uint8Array {
  return new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(length).finish();
}

/** A whole model.onnx. */
export function decodeModel(bytes: Uint8Array): ModelProto {
  return fromBinary(descriptorOf("ModelProto"), bytes) as unknown as ModelProto;
}
