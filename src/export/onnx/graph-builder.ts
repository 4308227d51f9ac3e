// SPDX-License-Identifier: Apache-2.0
/**
 * GraphBuilder: nodes in the order they are added, values by name. Small constants are shared; weights are initializers
 * whose bytes are made only when the file is written.
 */
import { EspalierError } from "../../errors.js";
import {
  attributeTypes,
  type AttributeProto,
  type DimensionProto,
  type NodeProto,
  type ValueInfoProto,
} from "./proto.js";
import { encodeFloats } from "./small-float.js";
import { tensorTypes, type FloatType, type TensorType } from "./tensor-types.js";

/** A tensor of the graph whose bytes come when they are asked for. */
export interface Initializer {
  name: string;
  type: TensorType;
  dims: readonly number[];
  /** Small and looked at when shapes are inferred: it stays in the model's own file. */
  constant?: true;
  /** The bytes in order. Those of a model's initializers are asked for once, in the order they were added. */
  pieces: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** Whole numbers are sizes, texts are names of sizes that are known at run time. */
export type Dims = readonly (number | string)[];

/** Whole numbers and lists of them. */
export type Attributes = Readonly<Record<string, number | readonly number[]>>;

export class GraphBuilder {
  readonly nodes: NodeProto[] = [];
  readonly inputs: ValueInfoProto[] = [];
  readonly outputs: ValueInfoProto[] = [];
  readonly initializers = new Map<string, Initializer>();
  readonly #names = new Set<string>();

  input(name: string, type: TensorType, dims: Dims): string {
    this.inputs.push(valueInfo(name, type, dims));
    return name;
  }

  /** Says that the value of that name is an output. */
  output(name: string, type: TensorType, dims: Dims): void {
    this.outputs.push(valueInfo(name, type, dims));
  }

  /**
   * Adds a node `scope`/`op` and returns the name of its first output, `name` if given.
   *
   * @example const sum = graph.node("Add", "/model/layers.0", [a, b]);
   */
  node(op: string, scope: string, input: readonly string[], attributes: Attributes = {}, name?: string): string {
    return this.#add(op, scope, input, attributes, (node) => [name ?? `${node}_output_0`])[0]!;
  }

  /** The same for a node with several outputs. */
  split(op: string, scope: string, input: readonly string[], attributes: Attributes, outputs: number): string[] {
    return this.#add(op, scope, input, attributes, (node) =>
      Array.from({ length: outputs }, (_, i) => `${node}_output_${i}`),
    );
  }

  /** `value` in another type; itself where both are the same. */
  cast(scope: string, value: string, from: TensorType, to: TensorType): string {
    return from === to ? value : this.node("Cast", scope, [value], { to: tensorTypes[to] });
  }

  initializer(initializer: Initializer): string {
    if (this.initializers.has(initializer.name))
      throw new EspalierError("ERR_INTERNAL", `initializer ${initializer.name} is there twice`);
    this.initializers.set(initializer.name, initializer);
    return initializer.name;
  }

  /** int64 constants: a vector, or a scalar. Equal ones are shared. */
  int64(values: number | readonly number[]): string {
    const dims = typeof values === "number" ? [] : [values.length];
    const list = typeof values === "number" ? [values] : values;
    const bytes = new Uint8Array(BigInt64Array.from(list, BigInt).buffer);
    return this.#constant(`constants/int64/${JSON.stringify(values)}`, "int64", dims, bytes);
  }

  /** A floating-point scalar, rounded to `type`. */
  scalar(value: number, type: FloatType): string {
    return this.#constant(`constants/${type}/${value}`, type, [], encodeFloats(type, [value]));
  }

  #constant(name: string, type: TensorType, dims: readonly number[], bytes: Uint8Array): string {
    if (!this.initializers.has(name)) {
      const pieces = (): Uint8Array[] => [bytes];
      this.initializers.set(name, { name, type, dims, constant: true, pieces });
    }
    return name;
  }

  #add(
    op: string,
    scope: string,
    input: readonly string[],
    attributes: Attributes,
    outputNames: (node: string) => string[],
  ): string[] {
    const name = this.#unique(`${scope}/${op}`);
    const output = outputNames(name);
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    this.nodes.push({ input: [...input], output, name, opType: op, attribute });
    return output;
  }

  #unique(name: string): string {
    let unique = name;
    for (let i = 1; this.#names.has(unique); ++i) unique = `${name}_${i}`;
    this.#names.add(unique);
    return unique;
  }
}

function attributeOf(name: string, value: Attributes[string]): AttributeProto {
  if (typeof value === "number") return { name, type: attributeTypes.int, i: BigInt(value) };
  return { name, type: attributeTypes.ints, ints: value.map(BigInt) };
}

function valueInfo(name: string, type: TensorType, dims: Dims): ValueInfoProto {
  const dim = dims.map((size): DimensionProto =>
    typeof size === "number" ? { dimValue: BigInt(size) } : { dimParam: size },
  );
  return { name, type: { tensorType: { elemType: tensorTypes[type], shape: { dim } } } };
}
