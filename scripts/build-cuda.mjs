// npm run build:cuda: looks for what the CUDA and TensorRT backends are built with, says what is missing and how to get it,
// and hands over to native/CMakeLists.txt when all is there. Exit 1 and ERR_BACKEND_BUILD when nothing could be built.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));

const CODE = "ERR_BACKEND_BUILD";
const OLDEST_CUDA = 12;
const OLDEST_CMAKE = "3.24";
/** Folder names of this architecture: in the toolkit, and of the distribution's headers. */
const [target, multiarch] =
  process.arch === "arm64" ? ["sbsa-linux", "aarch64-linux-gnu"] : ["x86_64-linux", "x86_64-linux-gnu"];
const cudaRoots = [process.env.CUDA_PATH, process.env.CUDA_HOME, "/usr/local/cuda"].filter(Boolean);

const HOW = {
  toolkit:
    "CUDA toolkit 12 or newer: developer.nvidia.com/cuda-downloads, then e.g. `sudo apt-get install cuda-toolkit` with\n" +
    "    NVIDIA's package source; or `conda install -c nvidia cuda-toolkit`. Elsewhere than /usr/local/cuda: set CUDA_PATH.",
  tensorrt:
    "TensorRT 10 or newer: `sudo apt-get install libnvinfer-dev` with NVIDIA's package source, or the archive of\n" +
    "    developer.nvidia.com/tensorrt, with TENSORRT_PATH set to where it was unpacked.",
  cmake: `CMake ${OLDEST_CMAKE} or newer: \`sudo apt-get install cmake\``,
  modules: "the npm packages: `npm run build`",
};

/** The first line of `command --version` that matches, and its first group; null when it does not run. */
function versionOf(command, pattern) {
  const result = spawnSync(command, ["--version"], { encoding: "utf8" });
  return result.status === 0 ? (pattern.exec(result.stdout) ?? null) : null;
}

function findNvcc() {
  const folders = [...cudaRoots.map((root) => join(root, "bin")), ...(process.env.PATH ?? "").split(delimiter)];
  for (const path of folders.filter(Boolean).map((folder) => join(folder, "nvcc"))) {
    const found = existsSync(path) ? versionOf(path, /release (\d+)\.(\d+)/) : null;
    if (found === null) continue;
    const ok = Number(found[1]) >= OLDEST_CUDA;
    return {
      ok,
      detail: `${path}, release ${found[1]}.${found[2]}${ok ? "" : `, expected ${OLDEST_CUDA}.0 or newer`}`,
    };
  }
  const set = process.env.CUDA_PATH ? `CUDA_PATH is ${process.env.CUDA_PATH}` : "CUDA_PATH is not set";
  return { ok: false, detail: `not in PATH, not in ${cudaRoots.map((root) => join(root, "bin")).join(", ")}; ${set}` };
}

function findHeader(name, roots) {
  const folders = roots.flatMap((root) => [join(root, "include"), join(root, "targets", target, "include")]);
  folders.push("/usr/include", join("/usr/include", multiarch));
  const path = folders.map((folder) => join(folder, name)).find(existsSync);
  return { ok: path !== undefined, detail: path ?? `not in ${[...new Set(folders)].join(", ")}` };
}

function findCmake() {
  const found = versionOf("cmake", /version (\d+)\.(\d+)/);
  if (found === null) return { ok: false, detail: "does not run" };
  const [major, minor] = OLDEST_CMAKE.split(".").map(Number);
  const ok = Number(found[1]) > major || (Number(found[1]) === major && Number(found[2]) >= minor);
  return { ok, detail: `${found[1]}.${found[2]}${ok ? "" : `, expected ${OLDEST_CMAKE} or newer`}` };
}

function findCmakeJs() {
  const path = resolve("node_modules/cmake-js/bin/cmake-js");
  return { ok: existsSync(path), detail: existsSync(path) ? path : `not at ${path}` };
}

const tensorrtRoots = [process.env.TENSORRT_PATH, ...cudaRoots].filter(Boolean);
const checks = [
  { name: "nvcc", how: HOW.toolkit, ...findNvcc() },
  { name: "CUDA headers (cuda_runtime.h)", how: HOW.toolkit, ...findHeader("cuda_runtime.h", cudaRoots) },
  { name: "cuBLASLt headers (cublasLt.h)", how: HOW.toolkit, ...findHeader("cublasLt.h", cudaRoots) },
  {
    name: "TensorRT headers (NvInfer.h)",
    how: HOW.tensorrt,
    ...findHeader("NvInfer.h", tensorrtRoots),
    only: "tensorrt",
  },
  { name: "cmake", how: HOW.cmake, ...findCmake() },
  { name: "cmake-js", how: HOW.modules, ...findCmakeJs() },
];

function fail(lines) {
  process.stderr.write(`${lines.join("\n")}\n`);
  process.exit(1);
}

const describe = ({ ok, name, detail, only }) =>
  `  ${ok ? "found  " : "missing"}  ${name}: ${detail}${only === undefined || ok ? "" : " (for the TensorRT backend only)"}`;
const needed = checks.filter(({ ok, only }) => !ok && only === undefined);
if (needed.length > 0)
  fail([
    `espalier: ${CODE}: the CUDA backend cannot be built on this machine, missing: ${needed.map(({ name }) => name).join(", ")}`,
    ...checks.map(describe),
    "To get it:",
    ...[...new Set(checks.filter(({ ok }) => !ok).map(({ how }) => how))].map((how) => `  - ${how}`),
    "The CPU backend needs none of this: `npm run build`.",
  ]);

process.stderr.write(`${checks.map(describe).join("\n")}\n`);
const withTensorrt = checks.every(({ ok }) => ok);
// cmake-js downloads Node's headers unless it is shown those beside this Node.
const prefix = dirname(dirname(process.execPath));
const nodedir = existsSync(join(prefix, "include/node/node.h")) ? { npm_config_nodedir: prefix } : {};
const built = spawnSync(
  process.execPath,
  [
    "node_modules/cmake-js/bin/cmake-js",
    ...["compile", "--directory", "native", "--out", "build-cuda"],
    ...["--CDESPALIER_CUDA=ON", `--CDESPALIER_TENSORRT=${withTensorrt ? "ON" : "OFF"}`],
  ],
  { encoding: "utf8", env: { ...process.env, ...nodedir } },
);
if (built.status !== 0) {
  const said = /ERR_BACKEND_BUILD: ([^]+?)\n *(?:\n|Call Stack)/
    .exec(built.stdout + built.stderr)?.[1]
    .replace(/\s+/g, " ");
  if (said === undefined) process.stderr.write(built.stdout + built.stderr);
  fail([`espalier: ${CODE}: ${said ?? "cmake-js failed, see above"}`]);
}
