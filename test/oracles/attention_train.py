# Makes test/fixtures/train-kernels/attention_train.json: attention and its gradients by torch autograd in float64.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0
#   pip install torch==2.15.0
#   python test/oracles/attention_train.py
import json
from pathlib import Path

import torch
import torch.nn.functional as F

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "train-kernels" / "attention_train.json"
CASES = [
    dict(sequences=2, length=9, heads=4, kvHeads=2, headDim=4, documents=None),
    dict(sequences=1, length=11, heads=3, kvHeads=1, headDim=5, documents=[0, 4, 5]),
]


def short(values):
    return [float(f"{value:.9g}") for value in values.flatten().tolist()]


def run(case):
    s, n, h, kv, d = (case[key] for key in ("sequences", "length", "heads", "kvHeads", "headDim"))
    draw = lambda heads: ((torch.randn(s, n, heads, d) * 64).round().double() / 64).requires_grad_(True)
    q, k, v, dout = draw(h), draw(kv), draw(kv), draw(h).detach()
    starts = torch.tensor([max(x for x in case["documents"] or [0] if x <= i) for i in range(n)])
    place = torch.arange(n)
    seen = (place[None, :] <= place[:, None]) & (place[None, :] >= starts[:, None])
    out = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=seen, scale=d**-0.5, enable_gqa=True
    ).transpose(1, 2)
    out.backward(dout)
    scores = torch.einsum("sihd,sjhd->shij", q, k.repeat_interleave(h // kv, dim=2)) * d**-0.5
    lse = scores.masked_fill(~seen, float("-inf")).logsumexp(-1)
    named = dict(q=q, k=k, v=v, dout=dout, out=out, lse=lse, dq=q.grad, dk=k.grad, dv=v.grad)
    return {**case, "scale": d**-0.5, **{name: short(value.detach()) for name, value in named.items()}}


def main():
    torch.manual_seed(11)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps([run(case) for case in CASES]) + "\n")


if __name__ == "__main__":
    main()
