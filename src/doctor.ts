/**
 * diagnose: what this machine has and what of it espalier can use, for bug reports and for people.
 */
import { existsSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { join } from "node:path";
import { binding, bindingPath, type CpuInfo } from "./binding.js";
import { cacheDirectory } from "./files/cache-directory.js";
import { version } from "./version.js";

export interface BackendDiagnosis {
  name: string;
  usable: boolean;
  /** Where it was found, or what is missing. */
  why: string;
}

export interface Diagnosis {
  version: string;
  addon: string;
  node: string;
  platform: string;
  cpu: CpuInfo;
  memory: { totalBytes: number; freeBytes: number };
  weightFormats: string[];
  backends: BackendDiagnosis[];
  libraries: BackendDiagnosis[];
  cache: string;
}

/** Libraries the CUDA and TensorRT backends open at run time. */
const LIBRARIES = [
  { name: "cuda driver", files: ["libcuda.so.1"] },
  { name: "cuda runtime", files: ["libcudart.so.13", "libcudart.so.12"] },
  { name: "cublaslt", files: ["libcublasLt.so.13", "libcublasLt.so.12"] },
  { name: "tensorrt", files: ["libnvinfer.so.11", "libnvinfer.so.10", "libtensorrt_rtx.so.1"] },
];

const SYSTEM_FOLDERS = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/cuda/lib64",
  "/usr/local/nvidia/lib64",
];

export function diagnose(): Promise<Diagnosis> {
  const cpu = binding.cpuInfo();
  const libraries = LIBRARIES.map(findLibrary);
  return Promise.resolve({
    version,
    addon: bindingPath,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    cpu,
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
    weightFormats: binding.weightFormats().map((format) => format.id),
    backends: [
      {
        name: "cpu",
        usable: cpu.problem === null,
        why: cpu.problem?.message ?? `${cpu.isa} kernels on ${cpu.threads} ${cpu.threads === 1 ? "thread" : "threads"}`,
      },
      { name: "cuda", usable: false, why: "this version has no CUDA backend yet" },
      { name: "tensorrt", usable: false, why: "this version has no TensorRT backend yet" },
    ],
    libraries,
    cache: cacheDirectory(),
  });
}

function findLibrary({ name, files }: { name: string; files: string[] }): BackendDiagnosis {
  const own = (process.env["LD_LIBRARY_PATH"] ?? "").split(":").filter((folder) => folder !== "");
  const cuda = process.env["CUDA_PATH"];
  const folders = [...own, ...(cuda === undefined ? [] : [join(cuda, "lib64")]), ...SYSTEM_FOLDERS];
  for (const folder of folders)
    for (const file of files) {
      const path = join(folder, file);
      if (existsSync(path)) return { name, usable: true, why: path };
    }
  return { name, usable: false, why: `none of ${files.join(", ")} in ${folders.length} library folders` };
}
