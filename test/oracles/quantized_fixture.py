# What the oracles of quantized checkpoints share: a tiny random Llama, and how a checkpoint of it becomes a fixture.
# A fixture is a model directory under test/fixtures/quantized with expected.json beside it:
#   madeBy        the script and the versions it ran with
#   ids, logits   input token ids; [ids.length, vocab_size] f32 little-endian in base64: transformers' Llama over the
#                 dequantized weights in float32; by the tool itself where activations are rounded too
#   dequantized   tensor name -> sha256 of its dequantized values, f32 little-endian, -0 as 0
# SPDX-License-Identifier: Apache-2.0
import base64
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "quantized"
# More than the 8 rows for which engines round activations to 8 bits.
IDS = np.random.Generator(np.random.PCG64(5)).integers(0, 32, 24).tolist()


def tiny_config(hidden=64):
    return LlamaConfig(
        vocab_size=32, hidden_size=hidden, intermediate_size=hidden, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=hidden // 2, max_position_embeddings=64, rms_norm_eps=1e-5,
        tie_word_embeddings=True, architectures=["LlamaForCausalLM"], dtype="float32",
    )  # fmt: skip


def tiny_weights(hidden=64):
    """Values that float16 holds, some columns ten times the others, a row of zeros, and one group of zeros."""
    random = np.random.Generator(np.random.PCG64(hidden))
    out = {}
    for name, value in LlamaForCausalLM(tiny_config(hidden)).state_dict().items():
        if name == "lm_head.weight":
            continue
        drawn = random.standard_normal(tuple(value.shape)) * (1.0 if value.ndim == 1 else hidden**-0.5)
        drawn = 1 + 0.2 * drawn if value.ndim == 1 else drawn * 1.5
        if "_proj" in name:
            drawn[:, ::17] *= 4
            drawn[3] = 0
            drawn[5, :32] = 0
        out[name] = torch.from_numpy(drawn.astype(np.float16).astype(np.float32))
    return out


def linears(weights):
    return [name.removesuffix(".weight") for name in weights if "_proj" in name]


@torch.no_grad()
def logits_of(weights, hidden=64):
    model = LlamaForCausalLM(tiny_config(hidden)).eval()
    model.load_state_dict(dict(weights, **{"lm_head.weight": weights["model.embed_tokens.weight"]}))
    return model(torch.tensor([IDS])).logits[0].numpy()


def write_model(folder, tensors, quantization, hidden=64):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = tiny_config(hidden).to_dict()
    if quantization is not None:
        config["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(config, default=str) + "\n")
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def write_fixture(name, tensors, quantization, dequantized, made_by, hidden=64, logits=None):
    """tensors: as stored, of quantized modules; dequantized: their weights in float32, by name."""
    rest = {n: t for n, t in tiny_weights(hidden).items() if n not in dequantized}
    folder = FIXTURES / name
    write_model(folder, {**rest, **tensors}, quantization, hidden)
    whole = {**rest, **dequantized}
    bytes_of = {n: (t.float() + 0.0).contiguous().numpy().astype("<f4").tobytes() for n, t in whole.items()}
    digests = {n: hashlib.sha256(data).hexdigest() for n, data in bytes_of.items()}
    logits = logits_of(whole, hidden) if logits is None else logits
    document = dict(
        madeBy=made_by,
        ids=IDS,
        logits=base64.b64encode(logits.astype("<f4").tobytes()).decode(),
        dequantized=digests,
    )
    (folder / "expected.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{name}: {sum(f.stat().st_size for f in folder.iterdir())} bytes, largest logit {np.abs(logits).max():.2f}")
