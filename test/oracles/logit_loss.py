# Makes test/fixtures/train-kernels/logit_loss.json: distillation terms and their gradients by torch in float64.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0
#   pip install torch==2.15.0
#   python test/oracles/logit_loss.py
#
# Each case: a term as the test export takes it, its sum over the rows whose label is not -100, and
# d(weight * sum) / d logits.
import json
from pathlib import Path

import torch
import torch.nn.functional as F

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "train-kernels" / "logit_loss.json"
ROWS, VOCAB = 4, 37
KINDS = ["cross_entropy", "kl", "reverse_kl", "jsd", "logits_mse", "logits_cosine", "kl_tail"]


def corrected(p, labels, threshold):
    """MFT: the teacher's probabilities moved towards the labels."""
    best, choice = p.max(dim=-1)
    at_label = p.gather(1, labels[:, None])[:, 0]
    wrong = (best - at_label + threshold) / (1 + best - at_label + 1e-7)
    wanted = torch.where(at_label > 1 - threshold, torch.ones_like(at_label), at_label + threshold)
    right = (wanted - best) / (1 - best + 1e-7)
    moved = torch.where(choice == labels, right, wrong)[:, None]
    return (1 - moved) * p + moved * F.one_hot(labels, p.shape[-1])


def divergence(kind, log_q, log_p, beta):
    kl = lambda log_a, log_b: (log_a.exp() * (log_a - log_b)).sum(-1)
    if kind == "kl" or (kind == "jsd" and beta == 0):
        return kl(log_p, log_q)
    if kind == "reverse_kl" or beta == 1:
        return kl(log_q, log_p)
    log_m = torch.log(beta * log_p.exp() + (1 - beta) * log_q.exp())
    return beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)


def tail(q, p, top_k):
    """KL over the teacher's top k and one more value for the rest."""
    p, places = p.topk(top_k, dim=-1)
    q = q.gather(-1, places)
    whole = lambda x: torch.cat([x, 1 - x.sum(-1, keepdim=True)], -1)  # noqa: E731
    return (whole(p) * (whole(p) / whole(q)).log()).sum(-1)


def term(case, s, t, labels):
    kind, tau, top_k = case["kind"], case.get("temperature", 1.0), case.get("topK", 0)
    if kind == "cross_entropy":
        return F.cross_entropy(s, labels, reduction="sum")
    s, t = s / tau, t / tau
    if "correctionThreshold" in case and kind in ("kl", "reverse_kl", "jsd"):
        t = torch.log(corrected(t.softmax(-1), labels, case["correctionThreshold"]))
    if kind == "kl_tail":
        return tail(s.softmax(-1), t.softmax(-1), top_k).sum()
    if top_k:
        t, places = t.topk(top_k, dim=-1)
        s = s.gather(-1, places)
    if kind == "logits_mse":
        return F.mse_loss(s, t, reduction="none").mean(-1).sum()
    if kind == "logits_cosine":
        return (1 - F.cosine_similarity(s, t, dim=-1)).sum()
    return divergence(kind, s.log_softmax(-1), t.log_softmax(-1), case.get("beta")).sum()


def cases():
    yield dict(kind="cross_entropy", weight=1.0)
    for tau, top_k in ((1.0, 5), (2.5, 1), (0.5, 36)):
        yield dict(kind="kl_tail", weight=0.5, temperature=tau, topK=top_k)
    for kind in KINDS[1:-1]:
        base = dict(kind=kind, weight=0.5)
        for beta in (0.0, 0.3, 1.0) if kind == "jsd" else (None,):
            beta = {} if beta is None else dict(beta=beta)
            yield {**base, **beta, "temperature": 1.0, "topK": 0}
            yield {**base, **beta, "temperature": 2.5, "topK": 0}
            yield {**base, **beta, "temperature": 0.5, "topK": 5}
            if kind in ("kl", "reverse_kl", "jsd"):
                yield {**base, **beta, "temperature": 1.5, "topK": 0, "correctionThreshold": 0.2}
            if kind == "kl":
                yield {**base, "temperature": 1.0, "topK": 5, "correctionThreshold": 0.2}
                yield {**base, "temperature": 0.5, "topK": 0, "correctionThreshold": 0.7}


def main():
    torch.manual_seed(7)
    # values of few bits, exact in float32 and short in JSON
    logits = (torch.randn(ROWS, VOCAB) * 3 * 64).round().double() / 64
    teacher = (torch.randn(ROWS, VOCAB) * 3 * 64).round().double() / 64
    labels = torch.tensor([3, int(teacher[1].argmax()), -100, 36])
    kept = labels != -100
    out = dict(rows=ROWS, vocab=VOCAB, logits=logits.flatten().tolist(), teacher=teacher.flatten().tolist())
    out.update(labels=labels.tolist(), cases=[])
    for case in cases():
        s = logits.clone().requires_grad_(True)
        total = term(case, s[kept], teacher[kept], labels[kept])
        (case["weight"] * total).backward()
        gradient = [float(f"{value:.9g}") for value in s.grad.flatten().tolist()]
        out["cases"].append({**case, "kind": KINDS.index(case["kind"]), "sum": total.item(), "gradient": gradient})
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
