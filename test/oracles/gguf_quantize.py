# SPDX-License-Identifier: Apache-2.0
"""What quantizers of GGUF blocks give, for native/quant/ggml_blocks_32.cpp and ggml_blocks_256.cpp.

Writes test/fixtures/gguf/quantized.json: float32 values, the gguf package's blocks of the types it quantizes, and the root
mean square errors of ggml's own quantizers of the K types (ggml_quantize_chunk of libggml-base, here of the package
@node-llama-cpp/linux-x64 3.22.1), whose search need not be met bit by bit.

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install gguf==0.19.0 numpy==2.4.6
    /tmp/oracle/bin/python test/oracles/gguf_quantize.py path/to/libggml-base.so
"""
import base64
import ctypes
import json
import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "gguf" / "quantized.json"
MADE_BY = "test/oracles/gguf_quantize.py with gguf 0.19.0, numpy 2.4.6, libggml-base of @node-llama-cpp/linux-x64 3.22.1"
ROWS, COLS = 12, 512


def values():
    rng = np.random.default_rng(11)
    out = rng.standard_normal((ROWS, COLS)) * 0.03
    out[1] = rng.standard_t(2, COLS) * 0.02  # heavy tails
    out[2] += np.repeat(rng.standard_normal(COLS // 32), 32) * 0.1  # groups off centre
    out[3] = np.abs(out[3])
    out[4] = -np.abs(out[4])
    out[5] = np.round(out[5] * 256) / 256  # ties
    out[6, :256] = 0
    out[6, 256:] = -0.25  # constant
    out[7, ::64] = 3.0  # one outlier in every other block
    out[8] *= 1e4
    out[9] *= 1e-5
    return out.astype(np.float32)


def base64_of(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def ggml_blocks(library, data, kind):
    elements, size = quants.GGML_QUANT_SIZES[kind]
    out = np.zeros((ROWS, COLS // elements * size), np.uint8)
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    assert library.ggml_quantize_chunk(int(kind), data.ctypes.data, out.ctypes.data, 0, ROWS, COLS, None) == out.size
    return out


def main():
    library = ctypes.CDLL(sys.argv[1])
    data = values()
    exact, errors = {}, {}
    for kind in [Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1]:
        blocks = quants.quantize(data, kind)
        exact[kind.name.lower()] = base64_of(blocks)
        if kind.name.startswith("Q"):
            assert np.array_equal(blocks, ggml_blocks(library, data, kind)), kind
    for kind in [Type.Q4_K, Type.Q5_K, Type.Q6_K]:
        back = quants.dequantize(ggml_blocks(library, data, kind), kind).astype(np.float64)
        errors[kind.name.lower()] = list(np.sqrt(((back - data) ** 2).mean(axis=1)))
    document = {"madeBy": MADE_BY, "rows": ROWS, "cols": COLS, "values": base64_of(data), "blocks": exact, "rowErrors": errors}
    OUT.write_text(json.dumps(document, indent=1) + "\n")


main()
