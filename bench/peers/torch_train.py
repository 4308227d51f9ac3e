# A training step in torch (CPU, float32, eager, transformers' Llama, AdamW), one for each line on standard input: the peer of
# bench/train.mjs. Prints one JSON line at the start (where the initial weights stand) and one a step.
#   python bench/peers/torch_train.py small|smollm2|distill THREADS WEIGHTS_FOLDER
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0
import json
import resource
import sys
import time
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from transformers import LlamaConfig, LlamaForCausalLM

SMOLLM2 = dict(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    head_dim=64,
)
SMALL = dict(
    vocab_size=2048,
    hidden_size=256,
    intermediate_size=1600,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=64,
)
CASES = {
    "small": dict(model=SMALL, sequences=16),
    "smollm2": dict(model=SMOLLM2, sequences=2),
    "distill": dict(model=dict(SMOLLM2, num_hidden_layers=20), teacher=SMOLLM2, sequences=2),
}
LENGTH = 256


def make(settings, path):
    """A model and what bench/train.mjs needs to read its weights."""
    model = LlamaForCausalLM(LlamaConfig(**settings, max_position_embeddings=512, tie_word_embeddings=True))
    tensors, offset = {}, 0
    with open(path, "wb") as file:
        for name, parameter in model.named_parameters():
            file.write(parameter.detach().numpy().tobytes())
            tensors[name] = [offset, list(parameter.shape)]
            offset += 4 * parameter.numel()
    return model, dict(path=str(path), tensors=tensors, settings=settings)


def main():
    case, threads, folder = CASES[sys.argv[1]], int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model, described = make(case["model"], folder / "model.bin")
    teacher, teacher_described = make(case["teacher"], folder / "teacher.bin") if "teacher" in case else (None, None)
    shape, vocab = (case["sequences"], LENGTH), case["model"]["vocab_size"]
    text = torch.randint(0, vocab, (shape[0], LENGTH + 1))
    tokens, labels = text[:, :-1].contiguous(), text[:, 1:].contiguous()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1)
    start = dict(model=described, teacher=teacher_described, sequences=shape[0], length=LENGTH, torch=torch.__version__)
    print(json.dumps(dict(start, tokens=tokens.flatten().tolist(), labels=labels.flatten().tolist())), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        logits = model(tokens, use_cache=False).logits.flatten(0, 1)
        if teacher is None:
            loss = cross_entropy(logits, labels.flatten())
        else:
            with torch.no_grad():
                wanted = teacher(tokens, use_cache=False).logits.flatten(0, 1)
            loss = kl_div(
                log_softmax(logits, -1), log_softmax(wanted, -1), reduction="batchmean", log_target=True
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        milliseconds = 1000 * (time.perf_counter() - started)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(dict(loss=float(loss.detach()), ms=milliseconds, peakMB=peak)), flush=True)


if __name__ == "__main__":
    main()
