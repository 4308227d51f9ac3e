// SPDX-License-Identifier: Apache-2.0
/**
 * compressed-tensors (llm-compressor, vLLM): groups of modules with the same scheme, and formats of their tensors.
 */
import { z } from "zod";
import { EspalierError } from "../../errors.js";
import { parseFields } from "../../model/parse-fields.js";
import type { Activations, QuantizedModel, QuantizedModule, QuantizedWeight } from "./types.js";

const argsSchema = z.looseObject({
  num_bits: z.number().int(),
  type: z.enum(["int", "float"]),
  symmetric: z.boolean().nullish(),
  strategy: z.enum(["tensor", "channel", "group", "tensor_group", "block", "token", "attn_head"]).nullish(),
  group_size: z.number().int().nullish(),
  block_structure: z.tuple([z.number().int().positive(), z.number().int().positive()]).nullish(),
  dynamic: z.union([z.boolean(), z.literal("local")]).nullish(),
});
type Args = z.infer<typeof argsSchema>;

const groupSchema = z.looseObject({
  targets: z.array(z.string()),
  weights: argsSchema.nullish(),
  input_activations: argsSchema.nullish(),
  format: z.string().nullish(),
});
type Group = z.infer<typeof groupSchema> & { id: string };

const transformSchema = z.looseObject({
  apply: z.array(z.looseObject({ location: z.string() })).nullish(),
});

const configSchema = z.looseObject({
  format: z.string().nullish(),
  config_groups: z.record(z.string(), groupSchema).nullish(),
  ignore: z.array(z.string()).nullish(),
  quantization_status: z.string().nullish(),
  sparsity_config: z.looseObject({ format: z.string().nullish() }).nullish(),
  transform_config: z.looseObject({ config_groups: z.record(z.string(), transformSchema).nullish() }).nullish(),
});
type Config = z.infer<typeof configSchema>;

/** A format of the files -> our layout, and whether codes are floats of 4 bits. */
const layouts: Readonly<Record<string, string>> = {
  "int-quantized": "codes",
  "float-quantized": "codes",
  "naive-quantized": "codes",
  "mxfp8-quantized": "codes",
  "pack-quantized": "pack-quantized",
  "nvfp4-pack-quantized": "nvfp4-pack-quantized",
  "mxfp4-pack-quantized": "mxfp4-pack-quantized",
};

const classes: Readonly<Record<string, string>> = { embed_tokens: "Embedding" };

export function openCompressedTensors(quantization: Record<string, unknown>, where: string): QuantizedModel {
  const prefix = "quantization_config";
  const config = parseFields(configSchema, quantization, { code: "ERR_QUANT_CONFIG", where, prefix });
  refuseUnread(config, where);
  const groups = Object.entries(config.config_groups ?? {}).map(([id, group]) => ({ ...group, id }));
  const ignored = (config.ignore ?? []).map((target) => matcher(target, where));
  const matchers = groups.map(({ targets }) => targets.map((target) => matcher(target, where)));
  return {
    method: "compressed-tensors",
    weightOf: (module) => {
      if (ignored.some((matches) => matches(module))) return null;
      // Names are more special than classes: the first group that names the module wins over one that names its class.
      const place = matchers.findIndex((targets) => targets.some((matches) => matches(module)));
      const group = groups[place];
      if (group?.weights === undefined || group.weights === null) return null;
      return weightOf(module, group, group.weights, config.format ?? "dense", where);
    },
  };
}

/** Parts of the configuration without which the same codes mean another model. */
function refuseUnread({ sparsity_config: sparsity, transform_config: transform }: Config, where: string): void {
  const format = sparsity?.format ?? "dense";
  if (format !== "dense")
    throw new EspalierError(
      "ERR_QUANT_CONFIG",
      `${where}: quantization_config.sparsity_config.format: expected dense, found "${format}"`,
    );
  // Transforms of weights are in the codes already; those of activations and caches happen while the model runs.
  for (const [id, { apply }] of Object.entries(transform?.config_groups ?? {}))
    for (const { location } of apply ?? [])
      if (location !== "weight_input" && location !== "weight_output")
        throw new EspalierError(
          "ERR_QUANT_CONFIG",
          `${where}: quantization_config.transform_config.config_groups.${id}: expected transforms of weights alone ` +
            `(weight_input, weight_output), found one of "${location}"`,
        );
}

/** A target: a class, a module's name, or "re:" and a pattern its name begins with. */
function matcher(target: string, where: string): (module: QuantizedModule) => boolean {
  if (!target.startsWith("re:"))
    return ({ name, expected }) => name === target || (classes[expected.role] ?? "Linear") === target;
  try {
    const pattern = new RegExp(`^(?:${target.slice(3)})`);
    return ({ name }) => pattern.test(name);
  } catch (error) {
    throw new EspalierError("ERR_QUANT_CONFIG", `${where}: quantization_config: "${target}" is no pattern`, {
      cause: error,
    });
  }
}

function weightOf(
  module: QuantizedModule,
  group: Group,
  weights: Args,
  modelFormat: string,
  where: string,
): QuantizedWeight | null {
  const field = `${where}: quantization_config.config_groups.${group.id}`;
  const format = group.format ?? modelFormat;
  if (format === "dense") return null;
  const layout = layouts[format];
  if (layout === undefined || !Object.hasOwn(layouts, format))
    throw new EspalierError(
      "ERR_QUANT_CONFIG",
      `${field}.format: expected one of ${Object.keys(layouts).join(", ")}, found "${format}"`,
    );
  // Weights that were only calibrated are stored as they were.
  const stored = module.stored("weight")?.type;
  const hasScale = module.stored("weight_scale") !== undefined;
  if (!hasScale && (stored === "f32" || stored === "f16" || stored === "bf16")) return null;
  const symmetric = weights.symmetric ?? true;
  const activations = activationsOf(group.input_activations ?? null, field);
  if (layout === "codes" && activations?.dynamic === false && module.stored("input_scale") === undefined)
    throw new EspalierError(
      "ERR_QUANT_PARTS",
      `${where}: ${module.name}: input_scale: missing; config_groups.${group.id} quantizes activations with it`,
    );
  return {
    layout,
    type: codeType(weights, field),
    ...spans(weights, module, field),
    acrossRows: false,
    zeros: !symmetric,
    activations,
  };
}

function codeType({ num_bits: bits, type, strategy }: Args, field: string): string {
  const found = `${type}${bits}`;
  const known: Readonly<Record<string, string>> = {
    int8: "int8",
    int4: "int4",
    float8: "fp8_e4m3",
    float4: strategy === "tensor_group" || strategy === "group" ? "e2m1" : "",
  };
  const code = known[found] ?? "";
  if (code !== "") return code;
  throw new EspalierError(
    "ERR_QUANT_CONFIG",
    `${field}.weights: expected int of 4 or 8 bits or float of 8, or of 4 in groups, found ${type} of ${bits}`,
  );
}

/** Rows and columns that share a scale. */
function spans(args: Args, { rows, cols }: QuantizedModule, field: string): { rowSpan: number; colSpan: number } {
  const group = args.group_size ?? -1;
  const strategy = args.strategy ?? (group > 0 ? "group" : "tensor");
  switch (strategy) {
    case "tensor":
      return { rowSpan: rows, colSpan: cols };
    case "channel":
      return { rowSpan: 1, colSpan: cols };
    case "group":
    case "tensor_group":
      if (group === -1) return { rowSpan: 1, colSpan: cols };
      if (group > 0) return { rowSpan: 1, colSpan: group };
      throw new EspalierError("ERR_QUANT_CONFIG", `${field}.weights.group_size: expected -1 or more, found ${group}`);
    case "block": {
      const [down, across] = args.block_structure ?? [128, 128];
      return { rowSpan: down, colSpan: across };
    }
    case "token":
    case "attn_head":
      throw new EspalierError("ERR_QUANT_CONFIG", `${field}.weights.strategy: "${strategy}" is not one of weights`);
  }
}

function activationsOf(args: Args | null, field: string): Activations | null {
  if (args === null || args.num_bits > 8) return null;
  const strategy = args.strategy === "tensor_group" ? "group" : (args.strategy ?? "tensor");
  if (strategy !== "tensor" && strategy !== "token" && strategy !== "group")
    throw new EspalierError(
      "ERR_QUANT_CONFIG",
      `${field}.input_activations.strategy: expected tensor, token or group, found "${strategy}"`,
    );
  const dynamic = (args.dynamic ?? false) !== false;
  if (!dynamic && args.num_bits === 8) checkStatic(args, strategy, `${field}.input_activations`);
  return { type: args.type, strategy, dynamic };
}

/** A scale known beforehand is one for the whole input, and zero stays 0. */
function checkStatic({ symmetric }: Args, strategy: Activations["strategy"], field: string): void {
  if (strategy !== "tensor")
    throw new EspalierError(
      "ERR_QUANT_CONFIG",
      `${field}.strategy: expected tensor with dynamic false, found "${strategy}"`,
    );
  if (symmetric === false)
    throw new EspalierError("ERR_QUANT_CONFIG", `${field}.symmetric: expected true with dynamic false, found false`, {
      hint: "Static activations with zero points are not read; calibrate them symmetrically.",
    });
}
