# Makes test/fixtures/train/distillation.json: losses and gradients of tiny students with a teacher, or with LoRA adapters,
# by torch's autograd in float64.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0, numpy 2.4.6
#   python test/oracles/train_distillation.py            writes the fixture
#   python test/oracles/train_distillation.py --check    computes it again and compares
#
# Weights are drawn as in train_gradients.py; those of a teacher under "teacher." + name. Per case: config, teacher?
# (config.json), losses and lora? as src/train/native-trainer.ts has them, the batch, sums by kind, total, gradients.
import argparse
import base64
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy, linear, log_softmax, normalize, one_hot
from train_gradients import BASE, batch_of, draw, encode, fill
from transformers import LlamaConfig, LlamaForCausalLM

FIXTURE = Path(__file__).resolve().parent.parent / "fixtures" / "train" / "distillation.json"
SMALL = dict(hidden_size=8, intermediate_size=11, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1)
CE = dict(kind="cross_entropy", weight=0.4)


def logits_term(kind, weight, temperature=1.0, topK=0, **other):
    return dict(kind=kind, weight=weight, temperature=temperature, topK=topK, **other)


def hidden_term(kind, weight, layers, dynamicWeight=False):
    return dict(kind=kind, weight=weight, layers=layers, dynamicWeight=dynamicWeight)


CASES = {
    "kl alone": dict(teacher={}, losses=[logits_term("kl", 1.0)]),
    "kl of the top 5, softened, with cross-entropy": dict(
        teacher=dict(num_hidden_layers=3), losses=[CE, logits_term("kl", 0.6, 2.0, 5)]
    ),
    "reverse_kl and jsd": dict(
        teacher={}, losses=[logits_term("reverse_kl", 0.5, 1.5), logits_term("jsd", 0.7, 1.0, beta=0.3)]
    ),
    "logits_mse and logits_cosine": dict(
        teacher={}, losses=[logits_term("logits_mse", 2.0), logits_term("logits_cosine", 3.0), CE]
    ),
    "mft, softened, with cross-entropy": dict(
        teacher=dict(num_hidden_layers=3), losses=[CE, logits_term("mft", 0.8, 1.5, threshold=0.2)]
    ),
    "kl_tail of the top 4, softened": dict(
        teacher=dict(num_hidden_layers=3), losses=[CE, logits_term("kl_tail", 0.8, 1.5, 4)]
    ),
    "mft of the top 6 and kl": dict(
        teacher={}, losses=[logits_term("mft", 0.5, 1.0, 6, threshold=0.7), logits_term("kl", 0.5)]
    ),
    "hidden_mse alone, same width": dict(
        teacher=dict(num_hidden_layers=3), losses=[hidden_term("hidden_mse", 1.0, [[1, 2], [-1, -1]])]
    ),
    "hidden_cosine through a projection": dict(
        student=SMALL, teacher={}, losses=[CE, hidden_term("hidden_cosine", 0.8, [[0, 0], [1, 1], [0, 1]])]
    ),
    "squarehead and kl, dynamic weight": dict(
        student=dict(SMALL, tie_word_embeddings=True),
        teacher={},
        losses=[logits_term("kl", 0.9), hidden_term("hidden_squarehead", 0.5, [[0, 0], [1, 1]], True)],
    ),
    "all hidden terms": dict(
        teacher={},
        losses=[
            CE,
            hidden_term("hidden_mse", 0.3, [[0, 1]]),
            hidden_term("hidden_cosine", 0.4, [[1, 1]], True),
            hidden_term("hidden_squarehead", 0.2, [[-1, -1], [1, 1]]),
        ],
    ),
    "lora on q and v": dict(lora=dict(rank=3, alpha=6.0, targets=["q_proj", "v_proj"]), losses=[CE]),
    "lora everywhere, tied, biases, kl": dict(
        student=dict(tie_word_embeddings=True, attention_bias=True, mlp_bias=True),
        teacher={},
        lora=dict(
            rank=2,
            alpha=1.0,
            targets=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        ),
        losses=[logits_term("kl", 1.0, 0.7)],
    ),
}
EPSILON = 2.0**-7  # of SquareHead


class Lora(torch.nn.Module):
    """base(x) + alpha / rank * x Aᵀ Bᵀ"""

    def __init__(self, base, name, rank, alpha):
        super().__init__()
        self.base, self.scale = base, alpha / rank
        values = lambda part, rows, cols: torch.from_numpy(  # noqa: E731
            (0.5 * draw(f"{name}.{part}.weight", rows * cols)).astype(np.float32).astype(np.float64).reshape(rows, cols)
        )
        self.lora_A = torch.nn.Parameter(values("lora_A", rank, base.in_features))
        self.lora_B = torch.nn.Parameter(values("lora_B", base.out_features, rank))

    def forward(self, x):
        return self.base(x) + self.scale * linear(linear(x, self.lora_A), self.lora_B)


def make(change, prefix=""):
    config = LlamaConfig(**{**BASE, **change})
    config._attn_implementation = "eager"
    model = LlamaForCausalLM(config).double()
    if prefix == "":
        fill(model)
        return config, model
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = draw(prefix + name, parameter.numel())
            factor = 0.3 if name.endswith(("norm.weight", "bias")) else 0.5
            values = factor * values + (1 if name.endswith("norm.weight") else 0)
            parameter.copy_(torch.from_numpy(values.astype(np.float32)).reshape(parameter.shape))
    return config, model


def add_lora(model, lora):
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for name, module in list(model.named_modules()):
        role = name.rsplit(".", 1)[-1]
        if role in lora["targets"]:
            parent = model.get_submodule(name.rsplit(".", 1)[0])
            setattr(parent, role, Lora(module, name, lora["rank"], lora["alpha"]))


def corrected(p, labels, threshold):
    """MFT: the teacher's probabilities moved towards the labels."""
    best, choice = p.max(dim=-1)
    at_label = p.gather(1, labels[:, None])[:, 0]
    wrong = (best - at_label + threshold) / (1 + best - at_label + 1e-7)
    wanted = torch.where(at_label > 1 - threshold, torch.ones_like(at_label), at_label + threshold)
    right = (wanted - best) / (1 - best + 1e-7)
    moved = torch.where(choice == labels, right, wrong)[:, None]
    return (1 - moved) * p + moved * one_hot(labels, p.shape[-1])


def logit_value(term, student, teacher, labels):
    """[rows] of one term; student, teacher [rows, vocab]."""
    kind = term["kind"]
    if kind == "cross_entropy":
        return cross_entropy(student, labels, reduction="none")
    s, t = student / term["temperature"], teacher / term["temperature"]
    if kind == "kl_tail":
        p, top = torch.topk(t.softmax(-1), term["topK"], dim=-1)
        q = s.softmax(-1).gather(-1, top)
        rest = lambda x: 1 - x.sum(-1)  # noqa: E731
        return (p * (p / q).log()).sum(-1) + rest(p) * (rest(p) / rest(q)).log()
    if kind == "mft":
        t = corrected(t.softmax(-1), labels, term["threshold"]).log()
    if term["topK"] > 0:
        top = torch.topk(t, term["topK"], dim=-1).indices
        s, t = s.gather(-1, top), t.gather(-1, top)
    q, p = log_softmax(s, -1), log_softmax(t, -1)
    if kind in ("kl", "mft"):
        return (p.exp() * (p - q)).sum(-1)
    if kind == "reverse_kl":
        return (q.exp() * (q - p)).sum(-1)
    if kind == "jsd":
        beta = term["beta"]
        m = (beta * p.exp() + (1 - beta) * q.exp()).log()
        return beta * (p.exp() * (p - m)).sum(-1) + (1 - beta) * (q.exp() * (q - m)).sum(-1)
    if kind == "logits_mse":
        return ((s - t) ** 2).mean(-1)
    return 1 - (normalize(s, dim=-1) * normalize(t, dim=-1)).sum(-1)


def hidden_value(kind, s, t):
    """Sum over the rows; s, t [rows, width]."""
    if kind == "hidden_mse":
        return ((s - t) ** 2).mean(-1).sum()
    if kind == "hidden_cosine":
        return (1 - (normalize(s, dim=-1) * normalize(t, dim=-1)).sum(-1)).sum()
    return s.shape[0] * ((s - t) ** 2).mean() / ((t**2).mean() + EPSILON)


def run(model, tokens):
    """Logits and the residual stream: embedding first, then after each block."""
    states = []
    base = model.model
    hooks = [base.embed_tokens.register_forward_hook(lambda m, a, out: states.append(out))]
    for layer in base.layers:
        hooks.append(
            layer.register_forward_hook(lambda m, a, out: states.append(out[0] if isinstance(out, tuple) else out))
        )
    logits = model(torch.from_numpy(tokens), use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return logits.flatten(0, 1), [state.flatten(0, 1) for state in states]


def total_of(losses, student, teacher, labels, project):
    (logits, states), (teacher_logits, teacher_states) = student, teacher
    keep = labels != -100
    sums, values = {}, []
    for term in losses:
        if term["kind"].startswith("hidden"):
            pairs = [
                hidden_value(term["kind"], project(states[s + 1][keep]), teacher_states[t + 1][keep])
                for s, t in term["layers"]
            ]
            value = sum(pairs)
        else:
            rows = teacher_logits[keep] if teacher_logits is not None else None
            value = logit_value(term, logits[keep], rows, labels[keep]).sum()
        sums[term["kind"]] = float(value.detach())
        values.append((term, value))
    of = lambda wanted: sum(t["weight"] * v.detach() for t, v in values if wanted(t["kind"]))  # noqa: E731
    logit_terms = of(lambda kind: kind != "cross_entropy" and not kind.startswith("hidden"))
    if float(logit_terms) == 0:
        logit_terms = of(lambda kind: kind == "cross_entropy")
    total = 0
    for term, value in values:
        dynamic = term.get("dynamicWeight", False)
        total = total + term["weight"] * (logit_terms / value.detach() if dynamic else 1) * value
    return sums, total


def compute(name):
    case = CASES[name]
    config, model = make(case.get("student", {}))
    tokens, labels, _ = batch_of(name, BASE)
    out = dict(config={**json.loads(config.to_json_string()), "architectures": ["LlamaForCausalLM"]})
    out.update(losses=case["losses"], sequences=2, length=tokens.shape[1])
    out.update(tokens=tokens.flatten().tolist(), labels=labels.flatten().tolist())
    if "lora" in case:
        add_lora(model, case["lora"])
        out["lora"] = case["lora"]
    parameters = {n.replace("lora_A", "lora_A.weight").replace("lora_B", "lora_B.weight"): p for n, p in model.named_parameters()}
    parameters = {n.replace(".base.", "."): p for n, p in parameters.items() if p.requires_grad}
    teacher, project = (None, None), lambda x: x
    if "teacher" in case:
        teacher_config, teacher_model = make(case["teacher"], "teacher.")
        out["teacher"] = {**json.loads(teacher_config.to_json_string()), "architectures": ["LlamaForCausalLM"]}
        with torch.no_grad():
            teacher = run(teacher_model, tokens)
        if any(t["kind"].startswith("hidden") for t in case["losses"]) and teacher_config.hidden_size != config.hidden_size:
            shape = (teacher_config.hidden_size, config.hidden_size)
            tensor = lambda name, shape, factor: torch.nn.Parameter(  # noqa: E731
                torch.from_numpy((factor * draw(name, int(np.prod(shape)))).astype(np.float32).astype(np.float64)).reshape(shape)
            )
            weight = tensor("distillation.projection.weight", shape, 0.5)
            bias = tensor("distillation.projection.bias", shape[:1], 0.3)
            parameters.update({"distillation.projection.weight": weight, "distillation.projection.bias": bias})
            project = lambda x: linear(x, weight, bias)  # noqa: E731
    sums, total = total_of(case["losses"], run(model, tokens), teacher, torch.from_numpy(labels).flatten(), project)
    total.backward()
    out.update(sums=sums, total=float(total.detach()))
    zeros = lambda p: torch.zeros_like(p) if p.grad is None else p.grad  # noqa: E731
    out["gradients"] = {n: encode(zeros(p).flatten().numpy()) for n, p in parameters.items()}
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    cases = {name: compute(name) for name in CASES}
    if not check:
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items())
        FIXTURE.write_text('{\n"madeBy": "test/oracles/train_distillation.py",\n"cases": {\n' + lines + "\n}\n}\n")
        return
    stored = json.loads(FIXTURE.read_text())["cases"]
    for name, case in cases.items():
        for tensor, values in case["gradients"].items():
            a = np.frombuffer(base64.b64decode(values), "<f4").astype(float)
            b = np.frombuffer(base64.b64decode(stored[name]["gradients"][tensor]), "<f4").astype(float)
            if not np.allclose(a, b, rtol=1e-5, atol=1e-6 * (np.abs(b).max() + 1e-12)):
                sys.exit(f"{name}: {tensor} differs")
    print("equal")


if __name__ == "__main__":
    main()
