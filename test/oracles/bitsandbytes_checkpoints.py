# Makes tiny checkpoints with bitsandbytes' own quantize_4bit under test/fixtures/quantized, and checks that espalier's
# quantize writes the same tensors for matrices of awkward shapes and that QuantState.from_dict loads them.
#   python test/oracles/bitsandbytes_checkpoints.py            writes the fixtures
#   python test/oracles/bitsandbytes_checkpoints.py --check    compares `espalier quantize` with bitsandbytes
# Bytes are the same but for exact ties between two codes (bitsandbytes' CPU and CUDA code differ there themselves) and
# nested statistics, whose mean bitsandbytes adds up in another order: within 2 ulp.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0, bitsandbytes 0.50.2
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import bitsandbytes
import numpy as np
import torch
from bitsandbytes import functional
from quantized_fixture import linears, tiny_config, tiny_weights, write_fixture, write_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

MADE_BY = f"test/oracles/bitsandbytes_checkpoints.py, bitsandbytes {bitsandbytes.__version__}"
MAIN = Path(__file__).parents[2] / "dist" / "cli" / "main.js"


def config_of(kind, nested):
    return dict(
        _load_in_4bit=True, _load_in_8bit=False, bnb_4bit_compute_dtype="float32", bnb_4bit_quant_storage="uint8",
        bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=nested, llm_int8_enable_fp32_cpu_offload=False,
        llm_int8_has_fp16_weight=False, llm_int8_skip_modules=["lm_head"], llm_int8_threshold=6.0, load_in_4bit=True,
        load_in_8bit=False, quant_method="bitsandbytes",
    )  # fmt: skip


def quantize(weight, kind, nested, block=64):
    """-> stored tensors by suffix, and the dequantized weight."""
    packed, state = functional.quantize_4bit(weight, blocksize=block, quant_type=kind, compress_statistics=nested)
    stored = {"weight": packed, **{f"weight.{key}": value for key, value in state.as_dict(packed=True).items()}}
    return stored, functional.dequantize_4bit(packed, state).float()


def make(name, kind, nested):
    weights, tensors, dequantized = tiny_weights(), {}, {}
    for module in linears(weights):
        stored, dequantized[module + ".weight"] = quantize(weights[module + ".weight"], kind, nested)
        tensors.update({f"{module}.{suffix}": tensor for suffix, tensor in stored.items()})
    write_fixture(name, tensors, config_of(kind, nested), dequantized, MADE_BY)


def espalier(*arguments):
    ran = subprocess.run(["node", MAIN, *map(str, arguments)], capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(ran.stderr)


def odd_model(folder):
    """Rows of 70 and 111, which blocks run across, an odd number of weights, and a matrix of zeros."""
    config = LlamaConfig(
        vocab_size=32, hidden_size=70, intermediate_size=111, num_hidden_layers=2, num_attention_heads=7,
        num_key_value_heads=1, head_dim=10, tie_word_embeddings=True, max_position_embeddings=64,
        architectures=["LlamaForCausalLM"], dtype="float32",
    )  # fmt: skip
    torch.manual_seed(3)
    weights = {n: t * 20 for n, t in LlamaForCausalLM(config).state_dict().items() if n != "lm_head.weight"}
    weights["model.layers.0.self_attn.k_proj.weight"].zero_()
    weights["model.layers.1.self_attn.q_proj.weight"][:30] = 0
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return weights


def ulps(a, b):
    """Distances of values below float32's normal range count as none: zeros have absmax 0 here, at times 1e-38 there."""
    if abs(a - b) < 1e-38:
        return 0
    return int(abs(np.float32(a).view(np.int32).astype(np.int64) - np.float32(b).view(np.int32).astype(np.int64)))


def compare(weight, ours, kind, nested, block):
    """-> bytes that differ, by what they are; distance of the nested offset in ulp; whether QuantState agrees."""
    theirs, _ = quantize(weight, kind, nested, block)
    state_key = f"weight.quant_state.bitsandbytes__{kind}"
    found, expected = (json.loads(bytes(t[state_key].numpy())) for t in (ours, theirs))
    offset = ulps(found.pop("nested_offset", 0), expected.pop("nested_offset", 0))
    keys = "same" if list(ours) and set(ours) == set(theirs) and found == expected else f"{found} for {expected}"
    differ = {
        key: int((ours[key].view(torch.uint8) != theirs[key].view(torch.uint8)).sum())
        for key in theirs
        if key != state_key and ours[key].shape == theirs[key].shape
    }
    differ = {key: count for key, count in differ.items() if count > 0}
    local = {key.removeprefix("weight."): t for key, t in ours.items() if key != "weight"}
    return keys, differ, offset, dequantize(ours["weight"], functional.QuantState.from_dict(local, device="cpu"))


def dequantize(packed, state):
    """What a QuantState means. dequantize_4bit on the CPU takes other blocks where one is longer than a row."""
    packed, absmax = packed.flatten(), state.absmax
    if state.nested:
        absmax = functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
    codes = torch.stack([packed >> 4, packed & 15], 1).flatten()[: state.shape.numel()]
    scale = absmax.float().repeat_interleave(state.blocksize)[: codes.numel()]
    return (state.code[codes.long()] * scale).reshape(state.shape)


def check(model, weights, scratch, kind, nested, block):
    out, floats = scratch / f"{kind}-{nested}-{block}", scratch / f"{kind}-{nested}-{block}-floats"
    more = ["--double-quant"] if nested else []
    espalier("quantize", model, "--scheme", kind, "--group-size", block, *more, "--dtype", "f32", "--out", out)
    stored, good = load_file(out / "model.safetensors"), True
    espalier("export", out, "--dtype", "f32", "--out", floats)
    read = load_file(floats / "model.safetensors")
    total, most = {}, 0
    for module in linears(weights):
        ours = {n.removeprefix(module + "."): t for n, t in stored.items() if n.startswith(module + ".")}
        keys, differ, offset, dequantized = compare(weights[module + ".weight"], ours, kind, nested, block)
        for key, count in differ.items():
            total[key] = total.get(key, 0) + count
        most = max(most, offset)
        same = torch.equal(dequantized, read[module + ".weight"])
        good = good and same and keys == "same" and "weight" not in differ and "weight.quant_map" not in differ
        if keys != "same" or not same:
            print(f"  {module}: {keys}, QuantState gives {'what is read' if same else 'other values'}")
    print(f"{kind}, blocks of {block}{', nested' if nested else ''}: bytes that differ {total or 0}, offset {most} ulp")
    return good and most <= 2


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not options.check:
        for kind in ["nf4", "fp4"]:
            make(f"bitsandbytes-{kind}{'-nested' if kind == 'nf4' else ''}", kind, kind == "nf4")
        return
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        odd = odd_model(scratch / "odd")
        write_model(scratch / "tiny", tiny_weights(), None)
        results = [
            check(scratch / name, weights, scratch / name, kind, nested, block)
            for name, weights in {"odd": odd, "tiny": tiny_weights()}.items()
            for kind in ["nf4", "fp4"]
            for nested in [False, True]
            for block in [64, 128]
        ]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
