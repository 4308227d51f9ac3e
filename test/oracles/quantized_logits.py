# Does a quantized model directory give the same logits in transformers (with bitsandbytes or compressed-tensors) as in
# espalier? Prints the largest difference, and what each makes of a text's perplexity; exits with 1 beyond the bounds.
#   python test/oracles/quantized_logits.py MODEL... TEXT-FILE [--tokens 256] [--windows 8] [--bound 2e-3]
# Weights in transformers are dequantized to MODEL's dtype; --dtype float32 keeps what scales and codes say exactly.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0, accelerate 1.12, bitsandbytes 0.50.2, compressed-tensors 0.20.0
import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MAIN = Path(__file__).parents[2] / "dist" / "cli" / "main.js"


def espalier(*arguments):
    ran = subprocess.run(["node", MAIN, *map(str, arguments)], capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(ran.stderr)
    return json.loads(ran.stdout)


def load(path, dtype):
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
    for module in model.modules():
        if hasattr(module, "compute_dtype"):  # bitsandbytes: what its layers multiply in
            module.compute_dtype = dtype
            module.compute_type_is_set = True
            # Where a CPU has AVX512-BF16 it would round all scales to bfloat16 to pack them for a kernel.
            module.support_avx512bf16_for_cpu = False
    return model


def evaluate(path, options):
    """Over windows of one text, each on its own -> largest difference and logit, summed losses, tokens."""
    ids = AutoTokenizer.from_pretrained(path)(Path(options.text).read_text())["input_ids"]
    model = load(path, getattr(torch, options.dtype))
    largest = difference = 0.0
    losses, tokens, same = [0.0, 0.0], 0, 0
    for window in range(options.windows):
        part = ids[window * options.tokens : (window + 1) * options.tokens]
        with torch.no_grad():
            expected = model(torch.tensor([part])).logits[0].float()
        found = torch.tensor(espalier("logits", path, "--ids", ",".join(map(str, part)), "--all", "--json")["logits"])
        difference = max(difference, (found - expected).abs().max().item())
        largest = max(largest, expected.abs().max().item())
        same += (found.argmax(-1) == expected.argmax(-1)).sum().item()
        for at, logits in enumerate((found, expected)):
            losses[at] += torch.nn.functional.cross_entropy(
                logits[:-1].double(), torch.tensor(part[1:]), reduction="sum"
            ).item()
        tokens += len(part) - 1
    return difference / largest, same / (tokens + options.windows), [math.exp(loss / tokens) for loss in losses], tokens


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="+")
    parser.add_argument("text")
    parser.add_argument("--tokens", type=int, default=256, help="of a window")
    parser.add_argument("--windows", type=int, default=1)
    parser.add_argument("--bound", type=float, default=2e-3, help="of the largest difference over the largest logit")
    parser.add_argument("--perplexity-bound", type=float, default=0.003)
    parser.add_argument("--dtype", default="float32", help="of transformers; 4-bit floats need bfloat16")
    options = parser.parse_args()
    good = True
    for path in options.model:
        difference, same, (ours, theirs), tokens = evaluate(path, options)
        good = good and difference <= options.bound and abs(ours / theirs - 1) <= options.perplexity_bound
        print(
            f"{Path(path).name}: {tokens} tokens, largest difference {difference:.1e} of the largest logit, same greedy "
            f"token {same:.4f}, perplexity {ours:.4f} here, {theirs:.4f} there ({100 * (ours / theirs - 1):+.3f} %)",
            flush=True,
        )
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
