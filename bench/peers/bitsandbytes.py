# bitsandbytes' NF4 linear layer on the CPU, the peer of bench/quant_matmul.mjs: for each line "M DTYPE REPEATS" on
# standard input one JSON line with the milliseconds of each product. Layers take turns, so that weights come from memory.
#   python bench/peers/bitsandbytes.py THREADS N K
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, bitsandbytes 0.50.2, torch 2.15.0
import copy
import json
import sys
import time

# This file's folder would shadow the package of the same name.
sys.path.pop(0)
OUT, sys.stdout = sys.stdout, sys.stderr

import bitsandbytes
import torch

MEGABYTES = 1200  # of packed weights, more than caches hold


def layers_of(n, k, dtype):
    layer = bitsandbytes.nn.Linear4bit(k, n, bias=False, compute_dtype=dtype, quant_type="nf4")
    weight = torch.randn(n, k) * 0.02
    layer.weight = bitsandbytes.nn.Params4bit(
        weight, requires_grad=False, quant_type="nf4", compress_statistics=False, blocksize=64
    )
    layer = layer.to("cpu").eval()
    layer(torch.zeros(1, k, dtype=dtype))
    return [copy.deepcopy(layer) for _ in range(round(MEGABYTES * 1e6 / (n * k * 0.5625)))]


def main():
    threads, n, k = (int(text) for text in sys.argv[1:])
    torch.set_num_threads(threads)
    layers = {}
    print(json.dumps({"bitsandbytes": bitsandbytes.__version__, "torch": torch.__version__}), file=OUT, flush=True)
    for line in sys.stdin:
        m, dtype, repeats = line.split()
        if dtype not in layers:
            layers[dtype] = layers_of(n, k, getattr(torch, dtype))
        x = torch.randn(int(m), k, dtype=getattr(torch, dtype))
        milliseconds = []
        with torch.no_grad():
            for _ in range(int(repeats) + 2):
                layers[dtype].append(layers[dtype].pop(0))
                started = time.perf_counter()
                layers[dtype][-1](x)
                milliseconds.append((time.perf_counter() - started) * 1e3)
        print(json.dumps(milliseconds[2:]), file=OUT, flush=True)


main()
