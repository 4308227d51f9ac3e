# Makes test/fixtures/train-kernels/hidden_loss.json: losses between hidden states and their gradients by torch in float64.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0
#   pip install torch==2.15.0
#   python test/oracles/hidden_loss.py
import json
from pathlib import Path

import torch
import torch.nn.functional as F

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "train-kernels" / "hidden_loss.json"
ROWS, WIDTH = 5, 19


def loss(kind, epsilon, s, t):
    if kind == "mse":
        return F.mse_loss(s, t, reduction="none").mean(-1).sum()
    if kind == "cosine":
        return (1 - F.cosine_similarity(s, t, dim=-1)).sum()
    return len(s) * F.mse_loss(s, t) / (F.mse_loss(t, torch.zeros_like(t)) + epsilon)


def main():
    torch.manual_seed(5)
    # values of few bits, exact in float32 and short in JSON
    student, teacher = ((torch.randn(ROWS, WIDTH) * 64).round().double() / 64 for _ in range(2))
    labels = torch.tensor([3, -100, 0, 7, 1])
    kept = labels != -100
    out = dict(rows=ROWS, width=WIDTH, student=student.flatten().tolist(), teacher=teacher.flatten().tolist())
    out.update(labels=labels.tolist(), cases=[])
    for index, kind, epsilon in ((0, "mse", 0), (1, "cosine", 0), (2, "squarehead", 0), (2, "squarehead", 2**-7)):
        s = student.clone().requires_grad_(True)
        total = loss(kind, epsilon, s[kept], teacher[kept])
        (0.75 * total).backward()
        gradient = [float(f"{value:.9g}") for value in s.grad.flatten().tolist()]
        out["cases"].append(dict(kind=index, epsilon=epsilon, weight=0.75, sum=total.item(), gradient=gradient))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
