# SPDX-License-Identifier: Apache-2.0
"""Reads a GGUF file that espalier wrote with the gguf package and compares every tensor with the Hugging Face directory it
came from, within what the tensor's type can hold. Exits with 1 when one differs, is missing or is too many.

    espalier export DIR --to gguf --type q4_k --out M.gguf
    python test/oracles/gguf_reader.py DIR M.gguf

Made with gguf 0.19.0, numpy 2.4.6, safetensors and torch 2.15.0.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from gguf import GGUFReader, quants
from safetensors.torch import load_file

# Largest difference, in parts of the largest value of a block of 32 (256 for the K types, whose scales are rounded too).
BOUNDS = {"F32": 0, "F16": 2**-11, "BF16": 2**-8, "Q8_0": 0.5 / 127 + 2**-11, "Q4_0": 1.01 / 8, "Q4_1": 1.02 / 15, "Q5_0": 1.01 / 16}
BOUNDS |= {"Q5_1": 1.02 / 31, "Q4_K": 2.5 / 15, "Q5_K": 2.5 / 31, "Q6_K": 1.5 / 32}
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj"}
NAMES |= {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
NAMES |= {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
OUTSIDE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}


def hugging_face_name(name):
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.{kind}"


def in_model_order(values, heads):
    """llama.cpp keeps the rotary halves of each head interleaved."""
    return values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def worst(found, expected, kind):
    """Largest difference in parts of the largest value of its block."""
    size = 256 if kind.endswith("_K") else 32
    size = size if expected.shape[-1] % size == 0 else expected.shape[-1]
    largest = np.abs(expected.reshape(-1, size)).max(axis=1, keepdims=True)
    difference = np.abs(found - expected).reshape(-1, size)
    return float((difference / np.maximum(largest, 1e-30)).max())


def main():
    directory, path = pathlib.Path(sys.argv[1]), sys.argv[2]
    config = json.loads((directory / "config.json").read_text())
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    source = {}
    for file in directory.glob("*.safetensors"):
        source |= {name: tensor.to(torch.float32).numpy() for name, tensor in load_file(file).items()}
    bad, counts = [], {}
    for tensor in GGUFReader(path).tensors:
        if tensor.name == "rope_freqs.weight":
            continue
        kind = tensor.tensor_type.name
        values = quants.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1]).astype(np.float32)
        part = tensor.name.split(".")[2] if tensor.name.startswith("blk.") else ""
        values = in_model_order(values, heads[part]) if part in heads else values
        error = worst(values, source.pop(hugging_face_name(tensor.name)), kind)
        counts[kind] = max(counts.get(kind, 0), error)
        if error > BOUNDS[kind]:
            bad.append((tensor.name, kind, error))
    left = [name for name in source if name != "lm_head.weight" or not config.get("tie_word_embeddings")]
    shown = ", ".join(f"{kind} {error:.4g} (bound {BOUNDS[kind]:.4g})" for kind, error in counts.items())
    print(f"{path}: {shown}; beyond the bound {bad}; missing {left}")
    sys.exit(1 if bad or left else 0)


main()
