// SPDX-License-Identifier: Apache-2.0
/**
 * How an engine stores keys and values: what the engine directory says, what the options of a load change, bytes.
 */
import { z } from "zod";
import type { KvDtype } from "../binding.js";
import { EspalierError } from "../errors.js";

export type { KvDtype } from "../binding.js";

export const kvDtypes = ["f32", "f16", "bf16", "int8", "fp8"] as const satisfies readonly KvDtype[];

/**
 * What shares a scale of int8 and fp8 keys (and one of values): a token's row of one kv head, computed as it is stored;
 * all rows of a kv head of a layer; all rows of a layer. The last two are fixed scales, which the model must bring.
 */
export const kvScales = ["token", "head", "tensor"] as const;
export type KvScale = (typeof kvScales)[number];

const layersSchema = z.array(z.array(z.number().positive()).min(1)).min(1);

/** In engine.json: what a load takes unless told otherwise. */
export const kvCacheSchema = z.object({
  dtype: z.enum(kvDtypes),
  scale: z.enum(kvScales),
  /** Fixed scales of this dtype, [layers][kv heads]. */
  scales: z.object({ keys: layersSchema, values: layersSchema }).optional(),
});

export type KvCache = z.infer<typeof kvCacheSchema>;

/** Elements: codes of one byte come with a scale of four bytes for each token and kv head. */
const storage: Record<KvDtype, { elementBytes: number; scaleBytes: number }> = {
  f32: { elementBytes: 4, scaleBytes: 0 },
  f16: { elementBytes: 2, scaleBytes: 0 },
  bf16: { elementBytes: 2, scaleBytes: 0 },
  int8: { elementBytes: 1, scaleBytes: 4 },
  fp8: { elementBytes: 1, scaleBytes: 4 },
};

export function isKvDtype(value: unknown): value is KvDtype {
  return typeof value === "string" && Object.hasOwn(storage, value);
}

/** Bytes of keys and values of one token in all layers. */
export function kvBytesPerToken(
  shape: { numLayers: number; numKvHeads: number; headDim: number },
  dtype: KvDtype,
): number {
  const { elementBytes, scaleBytes } = storage[dtype];
  return 2 * shape.numLayers * shape.numKvHeads * (shape.headDim * elementBytes + scaleBytes);
}

/** The type that a load with this option stores keys and values in. */
export function kvDtypeOf(engine: { kvCache?: KvCache | undefined }, wanted: KvDtype | undefined): KvDtype {
  return wanted ?? engine.kvCache?.dtype ?? "f32";
}

interface KvEngine {
  spec: { numLayers: number; numKvHeads: number };
  kvCache?: KvCache | undefined;
}

/** The type, and the fixed scales [layers, 2, kv heads] (empty: one for each token). ERR_ARGUMENT. */
export function resolveKvCache(
  engine: KvEngine,
  options: { kvDtype?: KvDtype; kvScale?: KvScale },
): { kvDtype: KvDtype; kvScales: Float32Array } {
  const kvDtype = kvDtypeOf(engine, options.kvDtype);
  const stored = engine.kvCache?.dtype === kvDtype ? engine.kvCache : undefined;
  const scale = options.kvScale ?? stored?.scale ?? "token";
  if (!isKvDtype(kvDtype)) throw refuse("kvDtype", kvDtypes.join(", "), kvDtype);
  if (!kvScales.includes(scale)) throw refuse("kvScale", kvScales.join(", "), scale);
  if (options.kvScale !== undefined && storage[kvDtype].scaleBytes === 0)
    throw refuse("kvScale", `none with keys and values in ${kvDtype}`, scale);
  if (scale === "token") return { kvDtype, kvScales: new Float32Array(0) };
  if (stored?.scales === undefined)
    throw refuse("kvScale", `token (the engine has no fixed scales of ${kvDtype})`, scale);
  return { kvDtype, kvScales: fixedScales(engine.spec, stored.scales, scale === "tensor") };
}

function refuse(option: string, expected: string, found: string): EspalierError {
  return new EspalierError("ERR_ARGUMENT", `${option}: expected ${expected}, found ${found}`);
}

/** One scale for a layer is the largest of its heads': none of them then saturates earlier than before. */
function fixedScales(
  { numLayers, numKvHeads }: KvEngine["spec"],
  scales: NonNullable<KvCache["scales"]>,
  perLayer: boolean,
): Float32Array {
  const out = new Float32Array(2 * numLayers * numKvHeads);
  for (const [half, layers] of [scales.keys, scales.values].entries())
    for (const [layer, heads] of layers.entries())
      out.set(perLayer ? heads.map(() => Math.max(...heads)) : heads, (2 * layer + half) * numKvHeads);
  return out;
}

/** ERR_ENGINE_FORMAT when an engine's fixed scales do not have its shape. */
export function checkKvCache({ spec, kvCache }: KvEngine, path: string): void {
  for (const [name, layers] of Object.entries(kvCache?.scales ?? {})) {
    const fits = layers.length === spec.numLayers && layers.every((heads) => heads.length === spec.numKvHeads);
    if (!fits)
      throw new EspalierError(
        "ERR_ENGINE_FORMAT",
        `${path}: kvCache.scales.${name}: expected [${spec.numLayers}][${spec.numKvHeads}] numbers, found another shape`,
      );
  }
}
