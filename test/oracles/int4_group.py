# SPDX-License-Identifier: Apache-2.0
"""What compressed-tensors makes of weights in int4: for number format "int4" and layout "pack-quantized".

Writes test/fixtures/quant/int4_group.json: scales, zero points, codes, packed words and dequantized values of one weight by
group size and symmetry.

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install compressed-tensors==0.20.0 torch==2.15.0 numpy==2.4.6
    /tmp/oracle/bin/python test/oracles/int4_group.py
"""
import base64
import hashlib
import json
import pathlib

import compressed_tensors
import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize
from compressed_tensors.quantization.utils import calculate_qparams

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "quant" / "int4_group.json"
ROWS, COLS = 11, 384


def base64_of(tensor):
    return base64.b64encode(tensor.contiguous().numpy().tobytes()).decode()


def case(weight, group_size, symmetric):
    channel = group_size == COLS
    args = QuantizationArgs(
        num_bits=4,
        type="int",
        symmetric=symmetric,
        strategy="channel" if channel else "group",
        group_size=None if channel else group_size,
    )
    groups = weight.unflatten(1, (-1, group_size))
    scales, zero_points = calculate_qparams(groups.amin(2), groups.amax(2), args)
    zero_points = zero_points.to(torch.int8)
    q = quantize(weight, scales, zero_points, args, dtype=torch.int8)
    back = dequantize(q, scales, zero_points, args)
    return {
        "groupSize": group_size,
        "symmetric": symmetric,
        "scales": base64_of(scales),
        "zeroPoints": base64_of(zero_points),
        "packed": base64_of(pack_to_int32(q, 4)),
        "packedZeroPoints": base64_of(pack_to_int32(zero_points, 4, packed_dim=0).contiguous()),
        "dequantized": hashlib.sha256((back + 0.0).contiguous().numpy().tobytes()).hexdigest(),
    }


def main():
    rng = np.random.default_rng(6)
    values = rng.standard_normal((ROWS, COLS)) * 10.0 ** rng.uniform(-4, 2, (ROWS, 1))
    values[2, 32:160] = 0
    values[4] = np.abs(values[4])
    values[5] = np.round(values[5] * 4) / 4 + 0.125  # many ties
    weight = torch.from_numpy(values.astype(np.float32))
    cases = [case(weight, size, symmetric) for size in [32, 64, 128, COLS] for symmetric in [True, False]]
    version = compressed_tensors.__version__
    made_by = f"test/oracles/int4_group.py with compressed-tensors {version}, torch {torch.__version__}"
    fixture = {"madeBy": made_by, "rows": ROWS, "cols": COLS, "weight": base64_of(weight), "cases": cases}
    OUT.write_text(json.dumps(fixture, indent=1) + "\n")


main()
