# torch's float32 product of bench/gemm.mjs's shape, as a peer: python bench/peers/torch_gemm.py [threads] [size]
# SPDX-License-Identifier: Apache-2.0
import sys
import time

import torch

threads, size = (int(text) for text in (sys.argv[1:] + ["2", "2048"][len(sys.argv) - 1 :]))
torch.set_num_threads(threads)
a, b, out = (torch.randn(size, size) for _ in range(3))
seconds = []
for _ in range(40):
    started = time.perf_counter()
    torch.mm(a, b.t(), out=out)
    seconds.append(time.perf_counter() - started)
seconds.sort()
work = 2 * size**3 * 1e-9
print(f"torch {torch.__version__}, {threads} threads, {size}^3: median {work / seconds[20]:.0f} GFLOP/s, best {work / seconds[0]:.0f}")
