/**
 * The addon's whole contract. This is the only file that touches the native module.
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { loadAddon } from "./load-addon.js";
import type { CalibratorConfig, NativeCalibrator } from "./calibrate/native-calibrator.js";
import type { Communicator, NativeTrainerConstructor, TopLogits } from "./train/native-trainer.js";
import { version } from "./version.js";

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
  /** What is wrong with ESPALIER_ISA or ESPALIER_THREADS, which engines refuse to load with. */
  problem: { code: "ERR_ARGUMENT" | "ERR_ISA"; message: string } | null;
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
  /** Codes and scales in tensors of their own; then offset, sizeBytes and type only describe. */
  quantized?: QuantizedSource;
}

/** A stored tensor that is part of a quantized weight. */
export interface StoredPart {
  file: MappedFile;
  offset: number;
  sizeBytes: number;
  /** As safetensors spells it: "I32". */
  type: string;
  shape: number[];
}

/** A weight [rows, cols] kept as codes and scales, see native/quant/layouts/layout.h. */
export interface QuantizedSource {
  /** A row of `quantLayouts()`. */
  layout: string;
  /** Codes: "int8", "int4", "fp8_e4m3", "nf4", ... */
  type: string;
  rows: number;
  cols: number;
  /** Rows and columns that share a scale; `acrossRows`: runs of colSpan elements of the flattened weight. */
  rowSpan: number;
  colSpan: number;
  acrossRows: boolean;
  /** There are zero points. */
  zeros: boolean;
  /** What stored zero points lack (GPTQ). */
  zeroOffset?: number;
  /** bitsandbytes, when its absmax is quantized as well. */
  nestedOffset?: number;
  /** By suffix: "weight_scale". */
  parts: Record<string, StoredPart>;
}

/** How files keep quantized weights. */
export interface QuantLayout {
  id: string;
  parts: { suffix: string; types: string; required: boolean }[];
  /** Only read, or written as well. */
  written: boolean;
}

/** How weights become codes and scales, see native/quant/number_format.h. */
export interface NumberFormat {
  id: string;
  /** Codes. */
  type: string;
  bits: number;
  /** May have zero points. */
  asymmetric: boolean;
  /** Columns that share a scale unless told otherwise; 0: the whole row. */
  group: number;
  groupsFixed: boolean;
}

export interface QuantizeTensorOptions {
  /** A row of `numberFormats()`. */
  format: string;
  /**
   * A row of `quantLayouts()`; "onnx" (native/quant/layouts/onnx.h); or "dense": rounded weights in `sourceDtype` again.
   */
  layout: string;
  symmetric?: boolean;
  /** Columns; 0: whole rows. */
  group?: number;
  /** Blocks that share a scale instead of groups; blockRows -1: the whole tensor. */
  blockRows?: number;
  blockCols?: number;
  method?: "max" | "percentile" | "mse" | "hqq";
  percentile?: number;
  /** What scales are stored in. */
  scaleType?: "f32" | "f16" | "bf16";
  sourceDtype?: "f32" | "f16" | "bf16";
  /** bitsandbytes: quantize absmax as well. */
  nested?: boolean;
}

/** A tensor of a weight written in a layout. */
export interface WrittenPart {
  suffix: string;
  /** As safetensors spells it. */
  type: string;
  shape: number[];
  data: Uint8Array;
}

export interface QuantizedTensor {
  parts: WrittenPart[];
  /** Σ (w - ŵ)², Σ w² and max |w - ŵ|. */
  squaredError: number;
  squaredSum: number;
  largestError: number;
}

/** An element type tensors are read from; `blockElements` divides the columns. */
export interface SourceType {
  name: string;
  blockElements: number;
  blockBytes: number;
  /** `encodeBlocks` makes it. */
  writable: boolean;
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

/** What the machine could do at best, measured; results are stated against it. */
export interface Ceilings {
  isa: IsaName;
  threads: number;
  /** Sequential read of a buffer of `bufferMB`, far larger than the caches. */
  readGBps: number;
  /** Copy, bytes read plus bytes written. */
  copyGBps: number;
  /** A multiply-add counts as two operations. */
  f32Gflops: number;
  /** bf16 dot products, or f32Gflops where that is more (Intel) or the level has none. */
  bf16Gflops: number;
  /** Exact int8 products summed in int32. */
  int8Gops: number;
  bufferMB: number;
}

/** A row of the weight-format registry. */
export interface WeightFormat {
  id: string;
  /** What the kernel turns activations into: "f32", "bf16", "int8 per token". */
  activation: string;
  /** Scales excluded. */
  bitsPerWeight: number;
  /** Raised when the packed bytes change meaning. */
  layoutVersion: number;
  /** Only of quantized weights that say the scale of their layer's input. */
  inputScale: boolean;
}

/** What is folded into a weight W [n, k] as it is read. */
export interface WeightTransform {
  /** A norm's gain [k] that multiplies W's columns. */
  columnScale?: { file: MappedFile; source: TensorSource };
  /** W R: the layer reads a rotated residual stream. */
  rotateColumns?: boolean;
  /** Rᵀ W, or b R of a bias: the layer writes a rotated residual stream. */
  rotateRows?: boolean;
  /** Every value becomes this one (a norm's gain that was folded elsewhere). */
  fill?: number;
}

export interface NativeRequest extends Partial<{
  maxTokens: number;
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
  seed: number;
  /** Ids that end the generation; none to ignore end of sequence. */
  stopIds: Int32Array;
  topLogprobs: number;
  /** kind "logits": after every id, not only the last. */
  allLogits: boolean;
  /** kind "score": index of the first id wanted, at least 1. */
  scoreFrom: number;
  /** Keys and values of ids whose logits nobody asks for may come from the cache. Default true. */
  reusePrefix: boolean;
}> {
  id: number;
  kind: "generate" | "logits" | "score";
  prompt: Int32Array;
}

/** `atMs`: since the request was handed in, on the engine's thread. */
export type NativeEvent = { request: number; atMs: number } & (
  | { kind: "token"; token: number; logprob: number; top: { id: number; logprob: number }[] }
  | { kind: "done"; reason: "stop" | "length" | "context" | "cancelled"; reusedTokens: number }
  | { kind: "logits"; logits: Float32Array }
  | { kind: "scores"; scores: Float64Array }
  | { kind: "error"; error: Error }
);

/** Storage of keys and values; fp8 is e4m3. */
export type KvDtype = "f32" | "f16" | "bf16" | "int8" | "fp8";

export interface NativeEngineConfig {
  weightsPath: string;
  spec: object;
  tensors: readonly object[];
  /** The residual stream is kept rotated: the layers' weights were packed with `WeightTransform`. */
  rotated: boolean;
  contextTokens: number;
  kvTokens: number;
  kvDtype: KvDtype;
  /** Fixed scales [layers, 2 (keys, values), kv heads] of int8 and fp8; empty: one for each token and kv head. */
  kvScales: Float32Array;
  maxSequences: number;
  prefillChunk: number;
  /** 0 = default. */
  threads: number;
  isa: IsaName | "auto";
}

/** The engine's thread and everything it owns. `onEvents` is called when `takeEvents()` has something to give. */
export interface NativeEngine {
  submit(request: NativeRequest): void;
  cancel(id: number): void;
  takeEvents(): NativeEvent[];
  stats(): {
    active: number;
    waiting: number;
    pagesTotal: number;
    pagesFree: number;
    pagesCached: number;
    weightBytes: number;
    kvBytes: number;
    workspaceBytes: number;
  };
  /** Keep the process alive while requests are open. */
  ref(): void;
  unref(): void;
  /** Cancels everything and frees; may be called twice. */
  close(): Promise<void>;
}

export interface NativeBinding {
  NativeEngine: new (config: NativeEngineConfig, onEvents: () => void) => NativeEngine;
  NativeCalibrator: new (config: CalibratorConfig) => NativeCalibrator;
  NativeTrainer: NativeTrainerConstructor;
  /** null when this process was not started as one of several. ERR_MPI. A process joins once. */
  openCommunicator(): Communicator | null;
  weightFormats(): WeightFormat[];
  /** A whole tensor in an engine's layout; "vector" gives plain floats. ERR_WEIGHT_VALUE for NaN and infinity. */
  packTensor(file: MappedFile, source: TensorSource, format: string, transform?: WeightTransform): Promise<Uint8Array>;
  /** Reads a tensor and quantizes it, off the event loop. ERR_QUANT_GROUP_SIZE, ERR_WEIGHT_VALUE, ERR_WEIGHT_FORMAT. */
  quantizeTensor(
    file: MappedFile,
    source: TensorSource,
    options: QuantizeTensorOptions,
    transform?: WeightTransform,
  ): Promise<QuantizedTensor>;
  /**
   * Codes and scales of a quantized weight in another layout (as in QuantizeTensorOptions, but "dense"), off the event
   * loop. ERR_WEIGHT_FORMAT when the layout or `scaleType` cannot hold them.
   */
  convertQuantized(
    source: QuantizedSource,
    options: { layout: string; scaleType: "f32" | "f16" | "bf16" },
  ): Promise<WrittenPart[]>;
  numberFormats(): NumberFormat[];
  quantLayouts(): QuantLayout[];
  /** Parts are there, with the types and shapes they must have. ERR_QUANT_PARTS, ERR_FILE_TRUNCATED. */
  checkQuantized(source: QuantizedSource): void;
  /**
   * Measures the ceilings at an ISA level and thread count (defaults: those engines use) for about `seconds` (1),
   * off the event loop. Reads 2 GiB (or a quarter of the free memory) unless `bufferBytes` says otherwise.
   */
  measureCeilings(options: {
    isa?: IsaName;
    threads?: number;
    seconds?: number;
    bufferBytes?: number;
  }): Promise<Ceilings>;
  /** The largest `top` logits of each row of `vocabSize`; the logits must not change meanwhile. ERR_NUMERIC. */
  topLogits(logits: Float32Array, vocabSize: number, top: number): Promise<TopLogits>;
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
    range: { rowBegin?: number; rowCount?: number; dtype?: "f32" | "f16" | "bf16"; transform?: WeightTransform },
    out: Uint8Array,
  ): Promise<void>;
  /**
   * Rows (of what is written) in a writable source type, off the event loop, on all cores. `interleaveHeads`: heads
   * whose rotary halves are interleaved, the inverse of TensorSource's permuteHeads. Blocks already of that type are
   * copied. ERR_WEIGHT_VALUE for NaN, infinity and what the type cannot hold.
   */
  encodeBlocks(
    file: MappedFile,
    source: TensorSource,
    rows: { type: string; rowBegin?: number; rowCount?: number; interleaveHeads?: number },
  ): Promise<Uint8Array>;
  cpuInfo(): CpuInfo;
  /** Forces an ISA level for engines loaded later; "auto" undoes it. */
  setIsa(isa: IsaName | "auto"): void;
  /** Test-only exports, one per operator; each test types the ones it calls. */
  testing: Record<string, (options: Record<string, unknown>) => unknown>;
}

const loaded = loadAddon({
  packageRoot: dirname(dirname(fileURLToPath(import.meta.url))),
  version,
  override: process.env["ESPALIER_BINDING"],
});

/** The file the addon came from. */
export const bindingPath: string = loaded.path;

export const binding = loaded.addon as NativeBinding;
