# Makes test/fixtures/train/gradients.json: loss and gradients of tiny random Llamas, by torch's autograd in float64.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0, numpy 2.4.6
#   python test/oracles/train_gradients.py            writes the fixture
#   python test/oracles/train_gradients.py --check    computes it again and compares
#
# Weights are not stored: both sides draw them by the same integer recurrence (draw below; test/native/train/fixture.ts).
# For each model:
#   config     config.json of the model, as transformers writes it
#   sequences, length, tokens, labels, documentStarts?   one micro batch, labels already shifted, -100: none
#   loss       sum over the labels of -log softmax(logits)[label]
#   gradients  name -> f32 little-endian, base64: d loss / d parameter
import argparse
import base64
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

FIXTURE = Path(__file__).resolve().parent.parent / "fixtures" / "train" / "gradients.json"

BASE = dict(
    vocab_size=29,
    hidden_size=12,
    intermediate_size=19,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=6,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
    attention_bias=False,
    mlp_bias=False,
    rope_parameters=dict(rope_type="default", rope_theta=10000.0),
)


def rope(**options):
    return dict(rope_parameters=dict(dict(rope_theta=10000.0), **options))


MODELS = {
    "untied": {},
    "tied, one kv head": dict(tie_word_embeddings=True, num_key_value_heads=1, num_hidden_layers=3),
    "biases, a kv head each": dict(attention_bias=True, mlp_bias=True, num_key_value_heads=4),
    "attention biases, large eps": dict(attention_bias=True, rms_norm_eps=0.3),
    "head_dim 3 x hidden / heads": dict(head_dim=10, num_attention_heads=3, num_key_value_heads=3),
    "one layer, length 1": dict(num_hidden_layers=1, length=1, sequences=5),
    "linear rope": rope(rope_type="linear", factor=2.5),
    "dynamic rope, beyond": dict(max_position_embeddings=7, **rope(rope_type="dynamic", factor=3.0)),
    "dynamic rope, within": rope(rope_type="dynamic", factor=3.0),
    "llama3 rope": rope(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16
    ),
    "yarn rope": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16),
    "documents": dict(documents=True),
    "documents, tied, biases": dict(documents=True, tie_word_embeddings=True, attention_bias=True, mlp_bias=True),
}
NOT_CONFIG = ("length", "sequences", "documents")


def draw(name, count):
    """In (-1, 1): a linear congruential generator seeded by the name, its high 24 bits."""
    state, out = zlib.crc32(name.encode()), np.empty(count)
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        out[i] = (state >> 8) / 2**23 - 1
    return out


def fill(model):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = draw(name, parameter.numel())
            if name.endswith("norm.weight"):
                values = 1 + 0.3 * values
            elif name.endswith("bias"):
                values = 0.3 * values
            else:
                values = 0.5 * values
            parameter.copy_(torch.from_numpy(values.astype(np.float32)).reshape(parameter.shape))


def batch_of(name, settings):
    random = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    sequences, length = settings.get("sequences", 2), settings.get("length", 11)
    shape = (sequences, length)
    tokens = random.integers(0, settings["vocab_size"], shape)
    labels = random.integers(0, settings["vocab_size"], shape)
    labels[random.random(shape) < 0.25] = -100
    labels[0, 0] = 3
    starts = np.zeros(shape, dtype=np.int64)
    if settings.get("documents"):
        for row in range(sequences):
            for start in sorted(random.choice(np.arange(1, length), 2, replace=False)):
                starts[row, start:] = start
    return tokens, labels, starts


def run(model, tokens, labels, starts):
    length = tokens.shape[1]
    place = np.arange(length)
    allowed = (place[None, None, :] <= place[None, :, None]) & (place[None, None, :] >= starts[:, :, None])
    mask = torch.from_numpy(np.where(allowed, 0.0, -np.inf))[:, None]
    positions = torch.from_numpy(place[None, :] - starts)
    logits = model(torch.from_numpy(tokens), attention_mask=mask, position_ids=positions, use_cache=False).logits
    flat = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), torch.from_numpy(labels).flatten(), ignore_index=-100, reduction="sum"
    )
    flat.backward()
    return float(flat.detach())


def encode(values):
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def compute(name):
    settings = {**BASE, **MODELS[name]}
    config = LlamaConfig(**{k: v for k, v in settings.items() if k not in NOT_CONFIG})
    config._attn_implementation = "eager"
    model = LlamaForCausalLM(config).double()
    fill(model)
    tokens, labels, starts = batch_of(name, settings)
    loss = run(model, tokens, labels, starts)
    out = dict(
        config={**json.loads(config.to_json_string()), "architectures": ["LlamaForCausalLM"]},
        sequences=tokens.shape[0],
        length=tokens.shape[1],
        tokens=tokens.flatten().tolist(),
        labels=labels.flatten().tolist(),
    )
    if settings.get("documents"):
        out["documentStarts"] = starts.flatten().tolist()
    out["loss"] = loss
    out["gradients"] = {n: encode(p.grad.flatten().numpy()) for n, p in model.named_parameters()}
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    models = {name: compute(name) for name in MODELS}
    if not check:
        FIXTURE.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(model)}" for name, model in models.items())
        FIXTURE.write_text('{\n"madeBy": "test/oracles/train_gradients.py",\n"models": {\n' + lines + "\n}\n}\n")
        return
    stored = json.loads(FIXTURE.read_text())["models"]
    for name, model in models.items():
        for tensor, values in model["gradients"].items():
            a = np.frombuffer(base64.b64decode(values), "<f4").astype(float)
            b = np.frombuffer(base64.b64decode(stored[name]["gradients"][tensor]), "<f4").astype(float)
            if not np.allclose(a, b, rtol=1e-5, atol=1e-6 * (np.abs(b).max() + 1e-12)):
                sys.exit(f"{name}: {tensor} differs")
    print("equal")


if __name__ == "__main__":
    main()
