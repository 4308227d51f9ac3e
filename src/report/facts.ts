/** Collects what a report says about engines and the machine. */
import { release, totalmem, type } from "node:os";
import { binding } from "../binding.js";
import type { ReportEngine, ReportMachine } from "./types.js";

/** The part of engine.json that a report shows. */
export interface ReportedManifest {
  spec: {
    family: string;
    vocabSize: number;
    hiddenSize: number;
    intermediateSize: number;
    numLayers: number;
    numHeads: number;
    numKvHeads: number;
    maxPositions: number;
    tieWordEmbeddings: boolean;
  };
  weights: { sizeBytes: number };
  tensors: readonly { format: string; sizeBytes: number }[];
  source: { name: string; format: string; parameters: number };
}

export function reportEngine(directory: string, label: string, manifest: ReportedManifest): ReportEngine {
  const formats: Record<string, number> = {};
  for (const { format, sizeBytes } of manifest.tensors) formats[format] = (formats[format] ?? 0) + sizeBytes;
  const { spec, source } = manifest;
  return {
    directory,
    label,
    sizeBytes: manifest.weights.sizeBytes,
    source: { name: source.name, format: source.format, parameters: source.parameters },
    formats,
    facts: {
      Family: spec.family,
      Layers: spec.numLayers,
      "Hidden size": spec.hiddenSize,
      "Feed-forward size": spec.intermediateSize,
      "Heads (key-value)": `${spec.numHeads} (${spec.numKvHeads})`,
      Vocabulary: spec.vocabSize.toLocaleString("en-US"),
      Context: spec.maxPositions.toLocaleString("en-US"),
      "Output layer": spec.tieWordEmbeddings ? "tied to the embedding" : "its own",
    },
  };
}

export function reportMachine(): ReportMachine {
  const cpu = binding.cpuInfo();
  return {
    cpu: cpu.model,
    physicalCores: cpu.physicalCores,
    logicalCpus: cpu.logicalCpus,
    memoryBytes: totalmem(),
    os: `${type()} ${release()}`,
    node: process.versions.node,
  };
}
