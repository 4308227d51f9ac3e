/**
 * The addon's whole contract. This is the only file that touches the native module.
 */
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { EspalierError } from "./errors.js";

export interface CpuInfo {
  model: string;
  physicalCores: number;
  logicalCpus: number;
  /** Threads an engine uses unless told otherwise: ESPALIER_THREADS or the physical cores. */
  threads: number;
  /** ISA level kernels are chosen for. */
  isa: IsaName;
  /** Levels this machine runs, lowest first. */
  isas: IsaName[];
}

export type IsaName = "ref" | "avx2" | "avx512" | "avx512_bf16";

/** A read-only file, memory-mapped by the native core. Closing is idempotent; reads under way finish first. */
export interface MappedFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly closed: boolean;
  close(): void;
}

/** Where a file keeps a tensor [rows, cols], row-major; a vector of n elements is [1, n]. */
export interface TensorSource {
  offset: number;
  sizeBytes: number;
  /** One of `sourceTypes()`: "f32", "q4_1", ... */
  type: string;
  rows: number;
  cols: number;
  /** Heads whose interleaved rotary halves reading puts back in order; 0: as stored. */
  permuteHeads: number;
}

/** An element type tensors are read from; `blockElements` divides the columns. */
export interface SourceType {
  name: string;
  blockElements: number;
  blockBytes: number;
}

/** One tensor of a family, see native/model/family.h. */
export interface TensorPattern {
  role: string;
  part: "weight" | "bias";
  /** Hugging Face name with {layer}. */
  name: string;
  /** GGUF name with {layer}. */
  gguf: string;
  rows: "vocab" | "hidden" | "ffn" | "heads" | "kvHeads";
  cols: "none" | "vocab" | "hidden" | "ffn" | "heads" | "kvHeads";
  when: "always" | "untied" | "attentionBias" | "attentionOutBias" | "mlpBias";
  ggufRows: "asIs" | "permutedHeads" | "permutedKvHeads";
  linear: boolean;
}

export interface Family {
  id: string;
  architectures: string[];
  modelTypes: string[];
  ggufArchitecture: string | null;
  /** What transformers assumes when config.json leaves it out; 0: as many as heads. */
  defaultKvHeads: number;
  defaultMaxPositions: number;
  tensors: TensorPattern[];
  /** Names some files carry that are not needed. */
  ignorable: string[];
}

export interface NativeBinding {
  /** Throws ERR_FILE_OPEN. */
  MappedFile: new (path: string) => MappedFile;
  sourceTypes(): SourceType[];
  families(): Family[];
  /**
   * Reads rows as `dtype` into `out` (exactly rowCount * cols elements) on another thread. `out` must not be
   * transferred meanwhile. Use `readTensor` of src/checkpoint.
   */
  readTensor(
    file: MappedFile,
    source: TensorSource,
    range: { rowBegin?: number; rowCount?: number; dtype?: "f32" | "f16" | "bf16" },
    out: Uint8Array,
  ): Promise<void>;
  cpuInfo(): CpuInfo;
  /** Forces an ISA level for engines loaded later; "auto" undoes it. */
  setIsa(isa: IsaName | "auto"): void;
  /** Test-only exports, one per operator; each test types the ones it calls. */
  testing: Record<string, (options: Record<string, unknown>) => unknown>;
}

const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where the addon may be: a local build first, then the platform's optional package. */
function candidates(): string[] {
  const override = process.env["ESPALIER_BINDING"];
  if (override !== undefined && override !== "") return [override];
  return [
    join(packageRoot, "build", "Release", "espalier.node"),
    `@espalier/${process.platform}-${process.arch}/espalier.node`,
  ];
}

function load(): NativeBinding {
  const require = createRequire(import.meta.url);
  const tried: string[] = [];
  for (const candidate of candidates()) {
    if (candidate.startsWith("/") && !existsSync(candidate)) {
      tried.push(`${candidate}: not there`);
      continue;
    }
    try {
      return require(candidate) as NativeBinding;
    } catch (error) {
      tried.push(`${candidate}: ${(error as Error).message.split("\n")[0] ?? ""}`);
    }
  }
  throw new EspalierError(
    "ERR_BINDING",
    `the native addon could not be loaded on ${process.platform}-${process.arch}:\n  ${tried.join("\n  ")}`,
  );
}

export const binding: NativeBinding = load();
