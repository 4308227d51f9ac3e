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

export interface NativeBinding {
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
