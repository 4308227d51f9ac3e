# Makes test/fixtures/importance.json: Minitron's activation importance of a tiny Llama, by torch hooks in float64.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0
#   python test/oracles/importance.py
#
#   model                      directory below test/fixtures/tiny-llama
#   samples, length, tokens    the calibration data
#   scores                     "AXIS.BATCH_SEQUENCE", with ".rest" behind it without position 0 -> values, layer by layer
#   blockImportance            1 - mean cosine, all positions and without position 0
#   losses                     mean cross-entropy of the next token: whole, without layer i, without layers i and i + 1
import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parent.parent
MODEL = "bias-v4"
SAMPLES, LENGTH = 7, 13

AGGREGATORS = {
    "mean": lambda x, dim: x.abs().mean(dim),
    "l2": lambda x, dim: x.square().sum(dim).sqrt(),
    "var": lambda x, dim: x.var(dim, unbiased=False),
}


def collect(model, tokens):
    """Inputs of linear layers and ends of blocks: name -> [samples, length, width]."""
    seen = {}

    def keep(name):
        def hook(module, args):
            seen[name] = args[0].detach()

        return hook

    for i, layer in enumerate(model.model.layers):
        layer.self_attn.q_proj.register_forward_pre_hook(keep(("attention_input", i)))
        layer.self_attn.o_proj.register_forward_pre_hook(keep(("attention_output", i)))
        layer.mlp.gate_proj.register_forward_pre_hook(keep(("mlp_input", i)))
        layer.mlp.down_proj.register_forward_pre_hook(keep(("mlp_product", i)))
        layer.register_forward_pre_hook(keep(("block", i)))
    model.model.norm.register_forward_pre_hook(keep(("block", len(model.model.layers))))
    with torch.no_grad():
        model(tokens, use_cache=False)
    return seen


def scores_of(seen, config, batch, sequence, first):
    def channels(name, layer):
        x = seen[(name, layer)][:, first:]
        return AGGREGATORS[batch](AGGREGATORS[sequence](x, 1), 0)

    layers = range(config.num_hidden_layers)
    hidden = sum(channels("attention_input", i) + channels("mlp_input", i) for i in layers)
    attention = [channels("attention_output", i) for i in layers]
    groups = config.num_key_value_heads
    return {
        "hidden": [hidden],
        "ffn": [channels("mlp_product", i) for i in layers],
        "heads": [a.view(config.num_attention_heads, -1).square().sum(1).sqrt() for a in attention],
        "kvGroups": [a.view(groups, -1).square().sum(1).sqrt() for a in attention],
    }


def losses_of(model, tokens, labels):
    blocks = list(model.model.layers)

    def loss(kept):
        model.model.layers = torch.nn.ModuleList(kept)
        with torch.no_grad():
            logits = model(tokens, use_cache=False).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()).item()

    return {
        "whole": loss(blocks),
        "1": [loss(blocks[:i] + blocks[i + 1 :]) for i in range(len(blocks))],
        "2": [loss(blocks[:i] + blocks[i + 2 :]) for i in range(len(blocks) - 1)],
    }


def main():
    model = AutoModelForCausalLM.from_pretrained(
        ROOT / "fixtures" / "tiny-llama" / MODEL, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    config = model.config
    torch.manual_seed(3)
    text = torch.randint(0, config.vocab_size, (SAMPLES, LENGTH + 1))
    tokens, labels = text[:, :-1], text[:, 1:]
    seen = collect(model, tokens)
    scores = {}
    for first in (0, 1):
        for batch in AGGREGATORS:
            for sequence in AGGREGATORS:
                for axis, rows in scores_of(seen, config, batch, sequence, first).items():
                    name = f"{axis}.{batch}_{sequence}" + (".rest" if first else "")
                    scores[name] = [float(f"{value:.8g}") for row in rows for value in row.tolist()]
    importance = [[], []]
    for first in (0, 1):
        for i in range(config.num_hidden_layers):
            a, b = seen[("block", i)][:, first:], seen[("block", i + 1)][:, first:]
            importance[first].append(1 - torch.nn.functional.cosine_similarity(a, b, -1).mean().item())
    fixture = dict(
        made_by="test/oracles/importance.py",
        model=MODEL,
        samples=SAMPLES,
        length=LENGTH,
        tokens=tokens.flatten().tolist(),
        labels=labels.flatten().tolist(),
        scores=scores,
        blockImportance=importance,
        losses=losses_of(model, tokens, labels),
    )
    (ROOT / "fixtures" / "importance.json").write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
