// SPDX-License-Identifier: Apache-2.0
/** espalier quantize: a model directory of codes and scales. */
import type { Command } from "commander";
import type { CalibrationProgress } from "../../calibrate/index.js";
import {
  quantize,
  schemes,
  type MeasureProgress,
  type QuantizationMeasurement,
  type QuantizedWeightReport,
  type QuantizeHooks,
  type QuantizeOptions,
  type QuantizeResult,
} from "../../quantize/index.js";
import { formatBytes } from "../format.js";
import { byteSize, collectPair, positiveNumber, realNumber } from "../options.js";
import { checkWritable } from "../report-data.js";
import { action, type CommandContext } from "../run-command.js";

const append = (text: string, before: string[] = []): string[] => [
  ...before,
  ...text.split(",").map((name) => name.trim()),
];

/** Flag, what it says, parser. Defaults are those of the schema in src/quantize/config.ts. */
const flags: readonly (readonly [flag: string, help: string, parse?: (text: string, before: never) => unknown])[] = [
  ["--group-size <n>", "columns that share a scale (default: w4a16 128, nf4 and fp4 64)", positiveNumber],
  ["--asymmetric", "zero points beside scales: w4a16, w8a16"],
  ["--double-quant", "nf4, fp4: quantize the scales as well"],
  ["--per-tensor", "one scale for a whole weight: w8a8, fp8-dynamic, fp8, the static ones"],
  ["--method <name>", "how ranges are found: max, percentile, mse or hqq (default: max)"],
  ["--percentile <share>", "with --method percentile (default: 0.9999)", realNumber],
  [
    "--include <patterns>",
    "weights to quantize as well, * = anything: lm_head, model.embed_tokens (repeatable)",
    append,
  ],
  ["--exclude <patterns>", "weights that stay as they are (repeatable)", append],
  ["--override <pattern=scheme>", "another scheme, or none, for matching weights (repeatable)", collectPair],
  ["--kv-cache <dtype>", "int8 or fp8: how engines that load it keep keys and values"],
  ["--calibration <file>", "w8a8-static, fp8-static: UTF-8 text on which inputs are measured"],
  ["--calibration-samples <n>", "parts of that text, spread evenly (default: 128)", positiveNumber],
  ["--calibration-length <n>", "tokens of a part (default: 512, or the model's positions)", positiveNumber],
  [
    "--rotate",
    "rotate the residual stream, folded into the weights: spreads outlier channels, which int8 inputs lose to",
  ],
  ["--simulate", "write rounded weights as floats, to measure what a scheme costs"],
  ["--dtype <dtype>", "of weights that stay, and of scales: f32, f16, bf16 (default: as the source)"],
  ["--max-shard-size <size>", "largest weight file, as in 5GB (default: 5GB)", byteSize],
  ["--dry-run", "plan and estimate, write nothing"],
  ["--report <file>", "measure it against its source and write an HTML page: size, speed, the weights that hurt"],
  ["--perplexity <file>", "with --report: UTF-8 text, the perplexity of both on it"],
  ["--max-tokens <n>", "with --perplexity: only the first so many tokens (default: 16384)", positiveNumber],
  ["--out <dir>", "model directory to make; must not exist"],
];

export function register(program: Command): void {
  const names = [...schemes.values()].map(({ id, help }) => `  ${id.padEnd(13)} ${help}`);
  const command = program
    .command("quantize")
    .description("a model whose weights are codes and scales, for transformers, vLLM, bitsandbytes and build")
    .argument("<model>", "model directory or GGUF file")
    .requiredOption("--scheme <name>", "one of those below, or none with --kv-cache or --override alone");
  for (const [flag, help, parse] of flags)
    if (parse === undefined) command.option(flag, help);
    else command.option(flag, help, parse as (text: string) => unknown);
  command.addHelpText(
    "after",
    `\nSchemes:\n${names.join("\n")}\n` +
      "\nExample:\n  espalier quantize SmolLM2-135M --scheme nf4 --double-quant --out SmolLM2-nf4\n" +
      "  espalier quantize SmolLM2-135M --scheme w4a16 --group-size 64 --override '*.down_proj=w8a16' --out SmolLM2-w4\n" +
      "\nWork that was stopped goes on when the same command is given again.",
  );
  action(command, async (context, model: string, given: Record<string, unknown>) => {
    const { json: _json, override, maxShardSize, ...rest } = given;
    const options = {
      model,
      ...rest,
      ...(override === undefined ? {} : { overrides: override }),
      ...(maxShardSize === undefined ? {} : { maxShardBytes: maxShardSize }),
    } as QuantizeOptions;
    if (options.report !== undefined) await checkWritable(options.report);
    const result = await quantize(options, { signal: context.signal, ...showQuantizing(context) });
    return { json: result, text: describe(result) };
  });
}

export function showQuantizing(context: CommandContext): {
  onPlan: NonNullable<QuantizeHooks["onPlan"]>;
  onProgress: (progress: { tensor: string; done: number; total: number }) => void;
  onCalibration: (progress: CalibrationProgress) => void;
  onMeasure: (progress: MeasureProgress) => void;
} {
  return {
    onPlan: ({ peakBytes, untiedHeadBytes, quantizedParameters, parameters }) => {
      context.progress.say(
        `${quantizedParameters} of ${parameters} parameters, about ${formatBytes(peakBytes)} of memory at most beside Node's own`,
      );
      if (untiedHeadBytes > 0) context.progress.say(untiedLine(untiedHeadBytes));
    },
    onProgress: ({ done, total, tensor }) => context.progress.update("quantizing", done, total, tensor),
    onCalibration: (event) => {
      if (event.kind === "plan")
        context.progress.say(`inputs are measured on ${event.tokens} tokens, ${event.samples} parts of the text`);
      else if (event.kind === "resumed") context.progress.say(`going on after ${event.blocks} blocks`);
      else context.progress.update("calibrating", event.done, event.total, `block ${event.layer}`);
    },
    onMeasure: ({ what, done, total }) => context.progress.update(what, done, total),
  };
}

/** Sizes, and the weights that rounding hurts most. */
function describe(result: QuantizeResult): string {
  const { source, out, scheme, parameters, quantizedParameters, weightBytes, sourceBytes, weights } = result;
  const share = ((100 * quantizedParameters) / parameters).toFixed(1);
  const head = `${source}: ${quantizedParameters} of ${parameters} parameters (${share} %) to ${scheme}`;
  if (out === null) return `${head}; nothing was written`;
  const sizes = `weights: ${formatBytes(sourceBytes)} -> ${formatBytes(weightBytes)}`;
  const larger =
    weightBytes > sourceBytes
      ? ["the source's own weights are smaller: it is quantized already, or --dtype is wider than it stores"]
      : [];
  const untied = result.untiedHeadBytes > 0 ? [untiedLine(result.untiedHeadBytes)] : [];
  return [
    `${head}: ${out}`,
    sizes,
    ...untied,
    ...larger,
    ...errorTable(weights),
    ...measuredLines(result.measured),
  ].join("\n");
}

function untiedLine(bytes: number): string {
  return `rotated: the head can no longer be the embedding, which takes ${formatBytes(bytes)}`;
}

function measuredLines(measured: QuantizationMeasurement | null): string[] {
  if (measured === null) return [];
  const { source, quantized, report } = measured;
  const speed = (value: number | null): string => (value === null ? "?" : value.toFixed(1));
  const lines = [
    `engines: ${formatBytes(source.engineBytes)} -> ${formatBytes(quantized.engineBytes)}`,
    `decode: ${speed(source.decodeTokensPerSecond)} -> ${speed(quantized.decodeTokensPerSecond)} tokens a second`,
    `prefill: ${speed(source.prefillTokensPerSecond)} -> ${speed(quantized.prefillTokensPerSecond)} tokens a second`,
  ];
  if (source.perplexity !== null && quantized.perplexity !== null) {
    const [before, after] = [source.perplexity.perplexity, quantized.perplexity.perplexity];
    const change = 100 * (after / before - 1);
    lines.push(
      `perplexity: ${before.toFixed(3)} -> ${after.toFixed(3)} (${change < 0 ? "" : "+"}${change.toFixed(2)} %)`,
    );
  }
  return [...lines, `report: ${report}`];
}

const WORST = 8;

function errorTable(weights: readonly QuantizedWeightReport[]): string[] {
  if (weights.length === 0) return [];
  const worst = [...weights].sort((a, b) => b.relativeError - a.relativeError).slice(0, WORST);
  const width = Math.max(...worst.map(({ name }) => name.length));
  const mean = weights.reduce((sum, { relativeError }) => sum + relativeError, 0) / weights.length;
  return [
    `relative error of weights: mean ${percent(mean)}; the largest (all are in quantization.json):`,
    ...worst.map(
      ({ name, scheme, bitsPerWeight, relativeError }) =>
        `  ${name.padEnd(width)}  ${percent(relativeError).padStart(8)}  ${bitsPerWeight.toFixed(2)} bits  ${scheme}`,
    ),
  ];
}

function percent(value: number): string {
  return `${(100 * value).toFixed(3)} %`;
}
