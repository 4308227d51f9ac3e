# Makes test/fixtures/train/adamw.json: 50 steps of torch.optim.AdamW on a tiny Llama, in float64.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0, numpy 2.4.6
#   python test/oracles/adamw.py            writes the fixture
#   python test/oracles/adamw.py --check    computes it again and compares
#
# Weights are drawn as in train_gradients.py. Two micro batches a step, gradients divided by the labels of both; matrices
# decay, norms and biases do not; the learning rate warms up and falls; clipping by the norm where maxGradNorm > 0.
# For each run: config, optimizer (betas, epsilon, weight decay, maxGradNorm), steps [{learningRate, loss, gradNorm}],
# batches (step i takes 2i and 2i + 1, modulo their number), weights (name -> f32 base64) after the last step.
import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from train_gradients import BASE, encode, fill
from transformers import LlamaConfig, LlamaForCausalLM

FIXTURE = Path(__file__).resolve().parent.parent / "fixtures" / "train" / "adamw.json"
# With 5e-3 the run is chaotic: torch's own float32 leaves its float64 by 6e-4; with 1e-3 by 1e-6.
STEPS, PEAK = 50, 1e-3
RUNS = {
    "tied, clipped": (dict(tie_word_embeddings=True), dict(beta1=0.9, beta2=0.95, epsilon=1e-8, weightDecay=0.1, maxGradNorm=0.5)),
    "biases, not clipped": (
        dict(attention_bias=True, mlp_bias=True),
        dict(beta1=0.8, beta2=0.999, epsilon=1e-6, weightDecay=0.0, maxGradNorm=0.0),
    ),
}


def learning_rate(step):
    return PEAK * (step + 1) / 5 if step < 5 else PEAK * (1 - 0.9 * (step - 5) / (STEPS - 5))


def batches_of(vocab):
    random = np.random.Generator(np.random.PCG64(1))
    out = []
    for _ in range(4):
        tokens = random.integers(0, vocab, (2, 9))
        labels = random.integers(0, vocab, (2, 9))
        labels[random.random((2, 9)) < 0.2] = -100
        out.append((tokens, labels))
    return out


def compute(name):
    change, optimizer = RUNS[name]
    config = LlamaConfig(**{**BASE, **change})
    config._attn_implementation = "eager"
    model = LlamaForCausalLM(config).double()
    fill(model)
    decaying = [p for p in model.parameters() if p.dim() > 1]
    other = [p for p in model.parameters() if p.dim() == 1]
    adamw = torch.optim.AdamW(
        [dict(params=decaying, weight_decay=optimizer["weightDecay"]), dict(params=other, weight_decay=0.0)],
        lr=PEAK,
        betas=(optimizer["beta1"], optimizer["beta2"]),
        eps=optimizer["epsilon"],
    )
    batches, steps = batches_of(config.vocab_size), []
    for step in range(STEPS):
        pair = [batches[(2 * step + i) % len(batches)] for i in range(2)]
        count = sum(int((labels != -100).sum()) for _, labels in pair)
        total = 0.0
        for tokens, labels in pair:
            logits = model(torch.from_numpy(tokens), use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), torch.from_numpy(labels).flatten(), ignore_index=-100, reduction="sum"
            )
            (loss / count).backward()
            total += float(loss.detach())
        limit = optimizer["maxGradNorm"]
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), limit if limit > 0 else float("inf")))
        for group in adamw.param_groups:
            group["lr"] = learning_rate(step)
        adamw.step()
        adamw.zero_grad()
        steps.append(dict(learningRate=learning_rate(step), loss=total, gradNorm=norm))
    return dict(
        config={**json.loads(config.to_json_string()), "architectures": ["LlamaForCausalLM"]},
        optimizer=optimizer,
        sequences=2,
        length=9,
        batches=[dict(tokens=t.flatten().tolist(), labels=l.flatten().tolist()) for t, l in batches],
        steps=steps,
        weights={n: encode(p.detach().flatten().numpy()) for n, p in model.named_parameters()},
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    runs = {name: compute(name) for name in RUNS}
    if not check:
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(run)}" for name, run in runs.items())
        FIXTURE.write_text('{\n"madeBy": "test/oracles/adamw.py",\n"runs": {\n' + lines + "\n}\n}\n")
        return
    stored = json.loads(FIXTURE.read_text())["runs"]
    for name, run in runs.items():
        losses = [[step["loss"] for step in which["steps"]] for which in (run, stored[name])]
        if not np.allclose(*losses, rtol=1e-9):
            sys.exit(f"{name}: losses differ")
    print("equal")


if __name__ == "__main__":
    main()
