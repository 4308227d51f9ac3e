/** espalier inspect: what a model or engine holds. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { inspectModel, type ModelSummary } from "../../checkpoint/index.js";
import { readEngineManifest, type EngineManifest } from "../../engine/index.js";
import type { ModelSpec } from "../../model/spec.js";
import { formatBytes, formatCount } from "../format.js";
import { action } from "../run-command.js";

export function register(program: Command): void {
  const command = program
    .command("inspect")
    .description("show what a model directory, GGUF file or engine holds; nothing is loaded")
    .argument("<model>", "model directory, .safetensors file, GGUF file or engine directory")
    .addHelpText("after", "\nExample:\n  espalier inspect SmolLM2-135M-Instruct.Q4_1.gguf");
  action(command, async (_context, path: string) => {
    if (!existsSync(join(path, "engine.json"))) {
      const summary = await inspectModel(path);
      return { json: summary, text: describeModel(summary) };
    }
    const manifest = await readEngineManifest(path);
    return { json: manifest, text: describeEngine(path, manifest) };
  });
}

function describeModel(summary: ModelSummary): string {
  const types = summary.dtypes.map((row) => `${row.dtype} ${row.tensors} tensors ${formatBytes(row.bytes)}`);
  return lines([
    ["model", `${summary.path} (${summary.format})`],
    ["family", summary.family],
    [
      "parameters",
      `${formatCount(summary.parameters)} in ${summary.tensorCount} tensors, ${formatBytes(summary.bytes)}`,
    ],
    ["stored as", types.join(", ")],
    ...describeSpec(summary.spec),
    ["tokenizer", describeTokenizer(summary)],
    ...(summary.problem === null
      ? []
      : [["problem", `${summary.problem.code}: ${summary.problem.message}`] as [string, string]]),
    ["files", summary.files.map((file) => `${file.name} ${formatBytes(file.bytes)}`).join(", ")],
  ]);
}

function describeTokenizer({ tokenizer }: ModelSummary): string {
  if (tokenizer.source === null) return "none";
  const parts = [
    tokenizer.source,
    tokenizer.model,
    tokenizer.preTokenizer,
    tokenizer.chatTemplate ? "chat template" : null,
  ];
  return parts.filter((part) => part !== null).join(", ");
}

function describeEngine(path: string, manifest: EngineManifest): string {
  const formats = new Map<string, number>();
  for (const tensor of manifest.tensors)
    formats.set(tensor.format, (formats.get(tensor.format) ?? 0) + tensor.sizeBytes);
  return lines([
    ["engine", `${path} (${manifest.backend}, ${manifest.target.arch}, made by espalier ${manifest.espalierVersion})`],
    ["source", `${manifest.source.name} (${manifest.source.format})`],
    ["parameters", `${formatCount(manifest.source.parameters)}, ${formatBytes(manifest.weights.sizeBytes)}`],
    ["formats", [...formats].map(([format, bytes]) => `${format} ${formatBytes(bytes)}`).join(", ")],
    ...describeSpec(manifest.spec),
  ]);
}

function describeSpec(spec: ModelSpec): [string, string][] {
  return [
    ["layers", `${spec.numLayers}, hidden ${spec.hiddenSize}, ffn ${spec.intermediateSize}`],
    [
      "attention",
      `${spec.numHeads} heads × ${spec.headDim}, ${spec.numKvHeads} KV heads, rope ${spec.rope.type} θ ${spec.rope.theta}`,
    ],
    ["vocabulary", `${spec.vocabSize}${spec.tieWordEmbeddings ? ", embeddings tied" : ""}`],
    ["context", `${spec.maxPositions} tokens`],
  ];
}

function lines(rows: [string, string][]): string {
  return rows.map(([name, value]) => `${name.padEnd(11)} ${value}`).join("\n");
}
