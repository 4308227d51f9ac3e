/** npm run build:cuda: what it answers without a CUDA toolkit, with too old a one, and with all there is to find. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../temporary.js";

const root = join(__dirname, "../..");

function buildCuda(env: Record<string, string>): { status: number | null; stderr: string } {
  const clean = { ...process.env, CUDA_PATH: "", CUDA_HOME: "", TENSORRT_PATH: "", ...env };
  return spawnSync(process.execPath, [join(root, "scripts/build-cuda.mjs")], { env: clean, encoding: "utf8" });
}

/** A directory with an nvcc that prints this release, and headers. */
function toolkit(release: string): string {
  const path = temporaryDirectory();
  for (const folder of ["bin", "include"]) mkdirSync(join(path, folder));
  const nvcc = join(path, "bin", "nvcc");
  writeFileSync(nvcc, `#!/bin/sh\necho "Cuda compilation tools, release ${release}, V${release}.61"\n`);
  chmodSync(nvcc, 0o755);
  for (const name of ["cuda_runtime.h", "cublasLt.h"]) writeFileSync(join(path, "include", name), "");
  return path;
}

const nvccHere = spawnSync("nvcc", ["--version"]).status === 0 || spawnSync("/usr/local/cuda/bin/nvcc").error == null;
if (nvccHere) console.warn("build:cuda without a toolkit is not tested: this machine has nvcc");

(nvccHere ? it.skip : it)("lists what is missing, where it looked and how to get it", () => {
  const { status, stderr } = buildCuda({});
  expect(status).toBe(1);
  expect(stderr).toMatch(/^espalier: ERR_BACKEND_BUILD: .*missing: nvcc, CUDA headers/);
  expect(stderr).toMatch(/missing {2}nvcc: not in PATH, not in \/usr\/local\/cuda\/bin; CUDA_PATH is not set/);
  expect(stderr).toMatch(/TensorRT headers \(NvInfer\.h\): not in/);
  expect(stderr).toMatch(/apt-get install cuda-toolkit/);
  expect(stderr).toMatch(/apt-get install libnvinfer-dev/);
});

it("asks nvcc for its release and refuses an old one", () => {
  const path = toolkit("11.4");
  const { status, stderr } = buildCuda({ CUDA_PATH: path });
  expect(status).toBe(1);
  expect(stderr).toContain(`missing  nvcc: ${path}/bin/nvcc, release 11.4, expected 12.0 or newer`);
  expect(stderr).toContain(`found    CUDA headers (cuda_runtime.h): ${path}/include/cuda_runtime.h`);
});

const cmakeHere = spawnSync("cmake", ["--version"]).status === 0;
if (!cmakeHere) console.warn("build:cuda with a toolkit is not tested: cmake does not run");

(cmakeHere ? it : it.skip)("makes nothing as long as there is no backend to build, and says so", () => {
  const { status, stderr } = buildCuda({ CUDA_PATH: toolkit("12.8") });
  expect(status).toBe(1);
  expect(stderr).toMatch(/ERR_BACKEND_BUILD: this version has no backend in native\/backend\/cuda.*nothing to build$/m);
});
