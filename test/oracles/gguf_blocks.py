# SPDX-License-Identifier: Apache-2.0
"""What the gguf package reads, for native/quant/ggml_blocks.cpp and src/checkpoint/open-gguf.ts.

Writes test/fixtures/gguf/: blocks.json (random blocks of each type and their float32 values) and small model files with
the sha256 of every tensor in Hugging Face order.

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install gguf==0.19.0 numpy==2.4.6
    /tmp/oracle/bin/python test/oracles/gguf_blocks.py
"""
import base64
import hashlib
import json
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFWriter, quants

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "gguf"
MADE_BY = "test/oracles/gguf_blocks.py with gguf 0.19.0, numpy 2.4.6"
HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FFN, VOCAB, LAYERS = 64, 4, 2, 16, 96, 70, 2
# Every f16 that is finite, subnormals and both zeros included, may be a scale.
FINITE = np.array([h for h in range(65536) if h & 0x7C00 != 0x7C00], dtype=np.uint16)


def base64_of(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def random_blocks(rng, kind, count, size, places):
    """Random bytes with finite f16 scales at `places`, and what they stand for."""
    raw = rng.integers(0, 256, (count, size), dtype=np.uint8)
    scales = rng.choice(FINITE, (count, len(places))).view(np.uint8)
    for i, place in enumerate(places):
        raw[:, place : place + 2] = scales[:, 2 * i : 2 * i + 2]
    return raw, quants.dequantize(raw, kind)


def blocks(rng):
    rows = {}
    for kind, size, places in [(Type.Q8_0, 34, [0]), (Type.Q4_0, 18, [0]), (Type.Q4_1, 20, [0, 2])]:
        rows[kind.name.lower()] = random_blocks(rng, kind, 96, size, places)
    later = np.random.default_rng(4)  # types added since: the files made after them stay as they were
    for kind, size, places in [(Type.Q5_0, 22, [0]), (Type.Q5_1, 24, [0, 2])]:
        rows[kind.name.lower()] = random_blocks(later, kind, 32, size, places)
    for kind, size, places in [(Type.Q4_K, 144, [0, 2]), (Type.Q5_K, 176, [0, 2]), (Type.Q6_K, 210, [208])]:
        rows[kind.name.lower()] = random_blocks(later, kind, 12, size, places)
    halves = rng.choice(FINITE, 3000)
    rows["f16"] = (halves, halves.view(np.float16).astype(np.float32))
    rows["bf16"] = (halves, quants.dequantize(halves.view(np.uint8).reshape(1, -1), Type.BF16))
    doubles = rng.standard_normal(500) * 10.0 ** rng.integers(-40, 30, 500)
    rows["f64"] = (doubles, doubles.astype(np.float32))
    singles = rng.standard_normal(500).astype(np.float32)
    rows["f32"] = (singles, singles)
    return {name: {"stored": base64_of(a), "expected": base64_of(b)} for name, (a, b) in rows.items()}


def permute(rows, heads):
    """Hugging Face order -> GGUF order of q_proj and k_proj rows, as llama.cpp's converter does."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def unpermute(rows, heads):
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def shapes(tied, bias):
    q, kv = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    names = {"model.embed_tokens.weight": ("token_embd.weight", (VOCAB, HIDDEN), 0)}
    for i in range(LAYERS):
        hf, gg = f"model.layers.{i}.", f"blk.{i}."
        linears = [
            ("self_attn.q_proj", "attn_q", (q, HIDDEN), HEADS),
            ("self_attn.k_proj", "attn_k", (kv, HIDDEN), KV_HEADS),
            ("self_attn.v_proj", "attn_v", (kv, HIDDEN), 0),
            ("self_attn.o_proj", "attn_output", (HIDDEN, q), 0),
            ("mlp.gate_proj", "ffn_gate", (FFN, HIDDEN), 0),
            ("mlp.up_proj", "ffn_up", (FFN, HIDDEN), 0),
            ("mlp.down_proj", "ffn_down", (HIDDEN, FFN), 0),
        ]
        for a, b, shape, heads in linears:
            names[f"{hf}{a}.weight"] = (f"{gg}{b}.weight", shape, heads)
            if bias:
                names[f"{hf}{a}.bias"] = (f"{gg}{b}.bias", shape[:1], heads)
        names[f"{hf}input_layernorm.weight"] = (f"{gg}attn_norm.weight", (HIDDEN,), 0)
        names[f"{hf}post_attention_layernorm.weight"] = (f"{gg}ffn_norm.weight", (HIDDEN,), 0)
    names["model.norm.weight"] = ("output_norm.weight", (HIDDEN,), 0)
    if not tied:
        names["lm_head.weight"] = ("output.weight", (VOCAB, HIDDEN), 0)
    return names


def model(name, kind, rng, tied, bias):
    path = OUT / f"{name}.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_description(f"random weights, made by {MADE_BY}")
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FFN)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(20000.0)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCAB)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    table = shapes(tied, bias)
    for gguf_name, shape, heads in table.values():
        values = rng.standard_normal(shape).astype(np.float32)
        values = permute(values, heads) if heads else values
        stored = kind if len(shape) == 2 else Type.F32
        writer.add_tensor(gguf_name, quants.quantize(values, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read = {t.name: t for t in GGUFReader(path).tensors}
    hashes = {}
    for hf_name, (gguf_name, shape, heads) in table.items():
        tensor = read[gguf_name]
        values = quants.dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        values = unpermute(values, heads) if heads else values
        hashes[hf_name] = hashlib.sha256(np.ascontiguousarray(values, dtype="<f4").tobytes()).hexdigest()
    return {"file": path.name, "tied": tied, "bias": bias, "sha256": hashes}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    (OUT / "blocks.json").write_text(json.dumps({"madeBy": MADE_BY, "types": blocks(rng)}, indent=1) + "\n")
    models = [
        model("tiny-q4_1-bias", Type.Q4_1, rng, tied=False, bias=True),
        model("tiny-q8_0-tied", Type.Q8_0, rng, tied=True, bias=False),
        model("tiny-q4_0", Type.Q4_0, rng, tied=False, bias=False),
        model("tiny-bf16", Type.BF16, rng, tied=True, bias=False),
    ]
    (OUT / "models.json").write_text(json.dumps({"madeBy": MADE_BY, "models": models}, indent=1) + "\n")


main()
