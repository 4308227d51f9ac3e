# SPDX-License-Identifier: Apache-2.0
"""What CUDA's header makes of every bf16 as an 8-bit float, on the host, for native/quant/fp8.cpp.

Writes test/fixtures/quant/fp8.json: per type the sha256 of the 65536 codes, the 256 values back as hexadecimal f32 bits,
and some samples. torch must agree wherever it does not overflow. Needs a C++ compiler and the CUDA headers that come with
torch's packages.

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch==2.15.0 numpy==2.4.6
    /tmp/oracle/bin/python test/oracles/fp8.py
"""
import hashlib
import json
import pathlib
import subprocess
import sysconfig
import tempfile

import numpy as np
import torch

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "quant" / "fp8.json"
SOURCE = """
#include <cstdio>
#include <cstring>
#include <cuda_fp8.h>
int main() {
  for (auto type : {__NV_E4M3, __NV_E5M2}) {
    for (unsigned half = 0; half < 65536; ++half) {
      const unsigned bits = half << 16;
      float value;
      std::memcpy(&value, &bits, 4);
      std::putchar(__nv_cvt_float_to_fp8(value, __NV_SATFINITE, type));
    }
  }
}
"""
TYPES = {"e4m3": (torch.float8_e4m3fn, 448.0), "e5m2": (torch.float8_e5m2, 57344.0)}
SAMPLES = [0.0, 0.001, 2.0**-10, 3 * 2.0**-10, 1.0625, 1.1875, 2.0**-17, 3 * 2.0**-17, 432.0, 464.0, 500.0, -1000.0, 61440.0]


def host_codes():
    packages = pathlib.Path(sysconfig.get_paths()["purelib"])
    # The first lacks crt/host_defines.h, the second nv/target.
    folders = [next(packages.glob("nvidia/*/include/cuda_fp8.h")).parent, packages / "triton/backends/nvidia/include"]
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder, "fp8.cpp"), pathlib.Path(folder, "fp8")
        source.write_text(SOURCE)
        subprocess.run(["g++", "-O1", *(f"-I{f}" for f in folders), source, "-o", program], check=True)
        return np.frombuffer(subprocess.run([program], check=True, capture_output=True).stdout, np.uint8).reshape(2, -1)


def row(codes, dtype, largest):
    values = (np.arange(65536, dtype=np.uint32) << 16).view(np.float32)
    by_torch = torch.from_numpy(values).to(dtype).view(torch.uint8).numpy()
    inside = np.abs(values) <= largest  # false for NaN
    assert (codes[np.isnan(values)] == 0x7F).all()
    assert (codes[inside] == by_torch[inside]).all()
    back = torch.arange(256, dtype=torch.uint8).view(dtype).to(torch.float32).numpy()
    bits = (np.array(SAMPLES, dtype=np.float32).view(np.uint32) >> 16).astype(int)
    return {
        "sha256": hashlib.sha256(codes.tobytes()).hexdigest(),
        "samples": [[float(values[b]), int(codes[b])] for b in bits],
        "values": "".join(f"{b:08x}" for b in back.view(np.uint32)),
    }


def main():
    codes = host_codes()
    rows = {name: row(codes[i], *TYPES[name]) for i, name in enumerate(TYPES)}
    made_by = f"test/oracles/fp8.py with cuda_fp8.h of torch {torch.__version__}"
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"madeBy": made_by, "types": rows}, indent=1) + "\n")


main()
