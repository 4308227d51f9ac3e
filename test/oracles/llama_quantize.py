# SPDX-License-Identifier: Apache-2.0
"""Does espalier's GGUF file have what llama.cpp's quantizer makes of the same model? Types of tensors, metadata, bytes, and
the error of both against the f32 file. Exits with 1 when types or metadata differ or our error is more than 2 % above.

    LD_LIBRARY_PATH=LIBS python test/oracles/llama_quantize.py LIBS F32.gguf TYPE OURS.gguf [--pure]

LIBS holds libllama and libggml-base (bins/linux-x64 of @node-llama-cpp/linux-x64 3.22.1); F32.gguf is what
`espalier export --to gguf --type f32` writes. Made with gguf 0.19.0, numpy 2.4.6.
"""
import ctypes
import glob
import os
import sys
import tempfile

import numpy as np
from gguf import GGUFReader, quants

FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q4_k": 15, "q5_k": 17, "q6_k": 18, "bf16": 32}


class Parameters(ctypes.Structure):
    """llama_model_quantize_params: larger than it is, to allow for fields to come."""

    _fields_ = [("threads", ctypes.c_int32), ("file_type", ctypes.c_int32), ("types", ctypes.c_int32 * 2)] + [
        (name, ctypes.c_bool) for name in ["allow_requantize", "quantize_output", "only_copy", "pure"]
    ] + [("rest", ctypes.c_uint8 * 492)]


def quantize(libraries, source, target, file_type, pure):
    library = ctypes.CDLL(glob.glob(os.path.join(libraries, "libllama.*so*"))[0])
    library.llama_model_quantize_default_params.restype = Parameters
    library.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Parameters)]
    library.llama_model_quantize.restype = ctypes.c_uint32
    parameters = library.llama_model_quantize_default_params()
    parameters.threads, parameters.file_type, parameters.pure = 2, file_type, pure
    assert library.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters)) == 0


def tensors_of(path):
    return {tensor.name: tensor for tensor in GGUFReader(path).tensors}


def keys_of(path):
    return {name: field.contents() for name, field in GGUFReader(path).fields.items() if not name.startswith("GGUF.")}


def values_of(tensor):
    return quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64).reshape(-1)


def main():
    libraries, source, kind, ours = sys.argv[1:5]
    with tempfile.TemporaryDirectory() as folder:
        theirs = os.path.join(folder, "theirs.gguf")
        quantize(libraries, source, theirs, FILE_TYPES[kind], "--pure" in sys.argv)
        expected, found, plain = tensors_of(theirs), tensors_of(ours), tensors_of(source)
        types = [name for name in expected if name not in found or found[name].tensor_type != expected[name].tensor_type]
        a, b = keys_of(theirs), keys_of(ours)
        keys = [key for key in a.keys() | b.keys() if a.get(key) != b.get(key)]
        same = sum(np.array_equal(expected[name].data, found[name].data) for name in expected if name not in types)
        errors = [sum(((values_of(file[name]) - values_of(plain[name])) ** 2).sum() for name in plain) ** 0.5 for file in (found, expected)]
    ratio = errors[0] / errors[1] if errors[1] > 0 else 1 + errors[0]
    print(f"{kind}: {len(expected)} tensors, other types {types}, other keys {keys}, {same} equal to the byte, error {ratio:.6f} of theirs")
    sys.exit(1 if types or keys or len(found) != len(expected) or ratio > 1.02 else 0)


main()
