/** What a report is made of: plain JSON, written beside the page as report.json. */
import type { BenchCell } from "../bench/types.js";
import type { PerplexityReport } from "../evaluate/index.js";

export interface ReportData {
  title: string;
  /** ISO 8601. */
  createdAt: string;
  espalierVersion: string;
  machine: ReportMachine;
  /** The baseline first; the last one is in the headlines. */
  engines: ReportEngine[];
  cells: BenchCell[];
  perplexity: ReportPerplexity[];
  samples: ReportSample[];
  /** Command lines that give these numbers again, in order. */
  commands: string[];
}

export interface ReportMachine {
  cpu: string;
  physicalCores: number;
  logicalCpus: number;
  memoryBytes: number;
  os: string;
  node: string;
}

export interface ReportEngine {
  /** As in `BenchCell.engine`. */
  directory: string;
  /** Short name, used everywhere: "int8-w8a8". */
  label: string;
  sizeBytes: number;
  source: { name: string; format: string; parameters: number };
  /** Packed bytes by weight format. */
  formats: Record<string, number>;
  /** Facts of the model: "Layers" -> 30. */
  facts: Record<string, string | number>;
}

export interface ReportPerplexity extends PerplexityReport {
  engine: string;
  /** What it was measured on. */
  corpus: string;
}

export interface ReportSample {
  prompt: string;
  answers: { engine: string; text: string }[];
}
