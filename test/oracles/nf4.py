# SPDX-License-Identifier: Apache-2.0
"""What bitsandbytes makes of weights in 4 bits on the CPU, for native/quant/nf4.cpp.

Writes test/fixtures/quant/nf4.json: packed bytes, absmax, double-quantized absmax and dequantized values of a few weights.

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install bitsandbytes==0.50.2 torch==2.15.0 numpy==2.4.6
    /tmp/oracle/bin/python test/oracles/nf4.py
"""
import base64
import hashlib
import json
import pathlib

import bitsandbytes
import numpy as np
import torch
from bitsandbytes import functional

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "quant" / "nf4.json"


def base64_of(tensor):
    return base64.b64encode(tensor.contiguous().numpy().tobytes()).decode()


def sha256_of(tensor):
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def case(name, quant_type, values, block_size):
    weight = torch.from_numpy(values)
    packed, state = functional.quantize_4bit(weight, blocksize=block_size, quant_type=quant_type)
    nested, nested_state = functional.quantize_4bit(
        weight, blocksize=block_size, quant_type=quant_type, compress_statistics=True
    )
    assert (packed == nested).all()
    # The CPU kernel for f32 bins its input and at times misses the nearest entry; other types are compared with every one.
    nearest, _ = torch.ops.bitsandbytes.quantize_blockwise.default(
        (state.absmax - nested_state.offset).double(), nested_state.state2.code, 256
    )
    return {
        "weight": name,
        "type": quant_type,
        "blockSize": block_size,
        "packed": base64_of(packed),
        "absmax": base64_of(state.absmax),
        "dequantized": sha256_of(functional.dequantize_4bit(packed, state)),
        "codes": base64_of(nested_state.absmax),
        "nearestCodes": base64_of(nearest),
        "nested": base64_of(nested_state.state2.absmax),
        "offset": float(nested_state.offset),
        "nestedDequantized": sha256_of(functional.dequantize_4bit(nested, nested_state)),
    }


def main():
    rng = np.random.default_rng(5)
    sine = np.sin(0.37 * np.arange(256)).reshape(4, 64) * (1 + np.arange(4))[:, None]
    normal = rng.standard_normal((14, 700)) * 10.0 ** rng.uniform(-3, 1, (14, 1))
    normal[3] = 0
    odd = rng.standard_normal((3, 67))
    weights = {"sine": sine, "normal": normal, "odd": odd}
    weights = {name: values.astype(np.float32) for name, values in weights.items()}
    sizes = [("sine", 64), ("normal", 32), ("normal", 64), ("odd", 64), ("odd", 128)]
    cases = [case(name, quant_type, weights[name], size) for quant_type in ["nf4", "fp4"] for name, size in sizes]
    made_by = f"test/oracles/nf4.py with bitsandbytes {bitsandbytes.__version__}, torch {torch.__version__}"
    tables = {name: base64_of(functional.get_4bit_type(name, device="cpu")) for name in ["nf4", "fp4"]}
    stored = {name: base64_of(torch.from_numpy(values)) for name, values in weights.items()}
    fixture = {"madeBy": made_by, "tables": tables, "weights": stored, "cases": cases}
    OUT.write_text(json.dumps(fixture, indent=1) + "\n")


main()
