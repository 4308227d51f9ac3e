# Does a quantized model directory give the same logits in transformers (with bitsandbytes or compressed-tensors) as in
# espalier? Prints the largest difference, and what each makes of a text's perplexity; exits with 1 beyond the bounds.
#   python test/oracles/quantized_logits.py MODEL TEXT-FILE [--tokens 1024] [--bound 2e-3]
# Weights in transformers are dequantized to MODEL's dtype; --dtype float32 keeps what scales and codes say exactly.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0, accelerate 1.12, bitsandbytes 0.50.2, compressed-tensors 0.20.0
import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MAIN = Path(__file__).parents[2] / "dist" / "cli" / "main.js"


def espalier(*arguments):
    ran = subprocess.run(["node", MAIN, *map(str, arguments)], capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(ran.stderr)
    return json.loads(ran.stdout)


def perplexity(logits, ids):
    return math.exp(torch.nn.functional.cross_entropy(logits[:-1].double(), torch.tensor(ids[1:])).item())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--bound", type=float, default=2e-3, help="of the largest difference over the largest logit")
    parser.add_argument("--perplexity-bound", type=float, default=0.003)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()

    ids = AutoTokenizer.from_pretrained(options.model)(Path(options.text).read_text())["input_ids"][: options.tokens]
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=getattr(torch, options.dtype))
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0].float()
    found = torch.tensor(espalier("logits", options.model, "--ids", ",".join(map(str, ids)), "--all", "--json")["logits"])
    difference = ((found - expected).abs().max() / expected.abs().max()).item()
    same = (found.argmax(-1) == expected.argmax(-1)).float().mean().item()
    ours, theirs = perplexity(found, ids), perplexity(expected, ids)
    ratio = ours / theirs - 1
    linear = next(type(m).__name__ for n, m in model.named_modules() if n.endswith("q_proj"))
    print(
        f"{linear}: {len(ids)} tokens, largest difference {difference:.2e} of the largest logit (bound {options.bound:.0e}), "
        f"same greedy token {same:.3f}, perplexity {ours:.4f} here, {theirs:.4f} there ({100 * ratio:+.3f} %)"
    )
    sys.exit(0 if difference <= options.bound and abs(ratio) <= options.perplexity_bound else 1)


if __name__ == "__main__":
    main()
