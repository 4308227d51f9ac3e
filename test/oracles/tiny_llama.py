# Makes the tiny random Llamas under test/fixtures/tiny-llama and what transformers computes with them in float32.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0, safetensors 0.8.0, numpy 2.4.6
#   pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
#   python test/oracles/tiny_llama.py                     writes the fixtures
#   python test/oracles/tiny_llama.py --check             computes them again and compares; also runs under
#                                                         transformers 4.57 for the directories named *-v4
#
# (Both versions gave the same bits for the *-v4 directories.)
#
# A directory named *-v4 has a config.json as transformers 4 writes it (rope_theta, rope_scaling, torch_dtype), one
# named *-v5 as transformers 5 does (rope_parameters, dtype; written by save_pretrained itself).
#
# expected.json:
#   ids     input token ids
#   logits  [ids.length, vocab_size] f32 little-endian, base64: one forward pass over all ids
#   greedy  8 token ids that follow, each the argmax, computed with the KV cache. With "dynamic" rotary beyond the
#           original context every step has its own frequencies and cached keys keep those they were written with.
#   greedyMargin  smallest distance between best and second-best logit met on the way
import argparse
import base64
import json
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "tiny-llama"

BASE = dict(
    vocab_size=61,
    hidden_size=20,
    intermediate_size=37,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=10,
    max_position_embeddings=128,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
    attention_bias=False,
    mlp_bias=False,
    rope_theta=10000.0,
)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
LLAMA3 = dict(
    rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64
)

# name -> what differs from BASE; "rope" is what rope_scaling (4) or rope_parameters (5) holds beside the base.
# "dtype" is the type the weights are stored in, "shards" the number of files, "length" the number of input ids.
MODELS = {
    "plain-v4": dict(hidden_size=40, num_key_value_heads=4, head_dim=None),
    "plain-v5": dict(hidden_size=40, num_key_value_heads=4, head_dim=None, rope_theta=500000.0),
    "tied-gqa4-v4": dict(tie_word_embeddings=True, num_key_value_heads=1, num_hidden_layers=3),
    "tied-gqa4-v5": dict(tie_word_embeddings=True, num_key_value_heads=1, length=70),
    "bias-v4": dict(attention_bias=True, mlp_bias=True, hidden_size=36),
    "bias-v5": dict(attention_bias=True, mlp_bias=True, hidden_size=36, num_key_value_heads=1),
    "linear-v4": dict(rope=dict(type="linear", factor=2.5)),
    "linear-v5": dict(rope=dict(rope_type="linear", factor=2.5)),
    "dynamic-within-v4": dict(rope=dict(type="dynamic", factor=2.0), max_position_embeddings=64),
    "dynamic-beyond-v4": dict(rope=dict(rope_type="dynamic", factor=2.0), max_position_embeddings=24),
    "dynamic-beyond-v5": dict(rope=dict(rope_type="dynamic", factor=4.0), max_position_embeddings=24, length=70),
    "llama3-v4": dict(rope=LLAMA3),
    "llama3-v5": dict(rope=LLAMA3, rope_theta=500000.0, tie_word_embeddings=True, length=70),
    "yarn-v4": dict(rope=YARN),
    "yarn-v5": dict(rope=dict(YARN, factor=8.0, beta_fast=4.0, beta_slow=0.5, truncate=False), length=70),
    "yarn-mscale-v5": dict(rope=dict(YARN, mscale=1.0, mscale_all_dim=0.7)),
    "yarn-factor-v4": dict(rope=dict(YARN, attention_factor=1.3)),
    "bf16-v5": dict(dtype="bfloat16"),
    "f16-sharded-v4": dict(dtype="float16", shards=2),
}
NOT_CONFIG = ("rope", "dtype", "shards", "length")


def settings(name):
    return {**BASE, **MODELS[name]}


def shapes(s):
    """Yields (tensor name, shape, standard deviation); None: a norm's weight, spread around one."""
    hidden, ffn, vocab = s["hidden_size"], s["intermediate_size"], s["vocab_size"]
    head = s["head_dim"] or hidden // s["num_attention_heads"]
    q, kv = s["num_attention_heads"] * head, s["num_key_value_heads"] * head
    yield "model.embed_tokens.weight", (vocab, hidden), 1.0 if not s["tie_word_embeddings"] else 0.35
    for i in range(s["num_hidden_layers"]):
        p = f"model.layers.{i}."
        yield p + "input_layernorm.weight", (hidden,), None
        attention = (("q", q, hidden, 1.5), ("k", kv, hidden, 1.5), ("v", kv, hidden, 1.0), ("o", hidden, q, 1.0))
        for proj, rows, cols, gain in attention:
            yield p + f"self_attn.{proj}_proj.weight", (rows, cols), gain * cols**-0.5
            if s["attention_bias"]:
                yield p + f"self_attn.{proj}_proj.bias", (rows,), 0.3
        yield p + "post_attention_layernorm.weight", (hidden,), None
        for proj, rows, cols in (("gate", ffn, hidden), ("up", ffn, hidden), ("down", hidden, ffn)):
            yield p + f"mlp.{proj}_proj.weight", (rows, cols), 1.2 * cols**-0.5
            if s["mlp_bias"]:
                yield p + f"mlp.{proj}_proj.bias", (rows,), 0.3
    yield "model.norm.weight", (hidden,), None
    if not s["tie_word_embeddings"]:
        yield "lm_head.weight", (vocab, hidden), 1.5 * hidden**-0.5


def weights(name, s):
    random = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    dtype = getattr(torch, s.get("dtype", "float32"))
    out = {}
    for tensor, shape, std in shapes(s):
        value = random.standard_normal(shape)
        value = 1 + 0.2 * value if std is None else std * value
        out[tensor] = torch.from_numpy(value.astype(np.float32)).to(dtype)
    return out


def config_v4(s):
    """config.json the way transformers 4 writes it."""
    config = {k: v for k, v in s.items() if k not in NOT_CONFIG and v is not None}
    config["rope_scaling"] = s.get("rope")
    config["torch_dtype"] = s.get("dtype", "float32")
    config.update(
        architectures=["LlamaForCausalLM"],
        model_type="llama",
        hidden_act="silu",
        attention_dropout=0.0,
        initializer_range=0.02,
        pretraining_tp=1,
        use_cache=True,
        bos_token_id=1,
        eos_token_id=2,
        transformers_version="4.57.3",
    )
    return dict(sorted(config.items()))


def save_v4(folder, s, tensors):
    (folder / "config.json").write_text(json.dumps(config_v4(s), indent=2) + "\n")
    count = s.get("shards", 1)
    if count == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = list(tensors)
    index = {}
    for shard in range(count):
        file = f"model-{shard + 1:05d}-of-{count:05d}.safetensors"
        part = names[shard * len(names) // count : (shard + 1) * len(names) // count]
        save_file({n: tensors[n] for n in part}, folder / file, metadata={"format": "pt"})
        index.update({n: file for n in part})
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    document = {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(document, indent=2) + "\n")


def save_v5(folder, s, tensors):
    options = {k: v for k, v in s.items() if k not in NOT_CONFIG and k != "rope_theta" and v is not None}
    rope = dict(s.get("rope", dict(rope_type="default")), rope_theta=s["rope_theta"])
    model = AutoModelForCausalLM.from_config(LlamaConfig(**options, rope_parameters=rope))
    model = model.to(getattr(torch, s.get("dtype", "float32")))
    missing = model.load_state_dict(tensors, strict=False).missing_keys
    assert missing in ([], ["lm_head.weight"]) and (missing == [] or s["tie_word_embeddings"]), missing
    model.save_pretrained(folder)


def input_ids(name, s, draw):
    random = np.random.Generator(np.random.PCG64(zlib.crc32(f"{name} {draw}".encode())))
    return random.integers(0, s["vocab_size"], s.get("length", 48)).tolist()


@torch.no_grad()
def compute(folder, ids):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    first = model(torch.tensor([ids]), use_cache=True)
    logits = first.logits[0].numpy()
    greedy, margin, step = [], float("inf"), first
    for _ in range(8):
        top = torch.topk(step.logits[0, -1], 2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        greedy.append(int(top.indices[0]))
        step = model(torch.tensor([[greedy[-1]]]), past_key_values=step.past_key_values, use_cache=True)
    return logits, greedy, margin


def write(name):
    s, folder = settings(name), FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (save_v4 if name.endswith("-v4") else save_v5)(folder, s, weights(name, s))
    margin, draw = 0, 0
    while margin < 0.02:  # a near tie would make the greedy ids depend on the order of additions
        ids = input_ids(name, s, draw)
        logits, greedy, margin = compute(folder, ids)
        draw += 1
    document = dict(
        transformers=transformers.__version__,
        torch=torch.__version__,
        ids=ids,
        greedy=greedy,
        greedyMargin=round(margin, 5),
        shape=list(logits.shape),
        logits=base64.b64encode(logits.astype("<f4").tobytes()).decode(),
    )
    (folder / "expected.json").write_text(json.dumps(document) + "\n")
    for file in folder.iterdir():
        file.chmod(0o644)
    print(f"{name}: std {logits.std():.2f}, max {np.abs(logits).max():.2f}, margin {margin:.4f}, greedy {greedy}")


def check(name):
    expected = json.loads((FIXTURES / name / "expected.json").read_text())
    logits, greedy, _ = compute(FIXTURES / name, expected["ids"])
    want = np.frombuffer(base64.b64decode(expected["logits"]), "<f4").reshape(expected["shape"])
    difference = float(np.abs(logits - want).max())
    ok = difference < 2e-5 and greedy == expected["greedy"]
    print(f"{name}: max difference {difference:.1e}{'' if ok else '  DIFFERS'}")
    return ok


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    if not options.check:
        for name in options.names or MODELS:
            write(name)
        return
    names = [n for n in options.names or MODELS if n.endswith("-v4") or not transformers.__version__.startswith("4.")]
    results = [check(name) for name in names]
    sys.exit(0 if all(results) else 1)


main()
