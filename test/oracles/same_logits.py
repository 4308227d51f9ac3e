# Does a model directory give the same logits in transformers as in espalier? Prints the largest difference and the two greedy
# continuations; exits with 1 beyond the bound.
#   python test/oracles/same_logits.py MODEL "some text" [BOUND]
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0
import json
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MAIN = Path(__file__).parents[2] / "dist" / "cli" / "main.js"


def espalier_logits(model, ids):
    arguments = ["logits", model, "--ids", ",".join(map(str, ids)), "--all", "--json"]
    ran = subprocess.run(["node", MAIN, *arguments], check=True, capture_output=True, text=True)
    return torch.tensor(json.loads(ran.stdout)["logits"])


def main():
    path, text, bound = sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 2e-4
    ids = AutoTokenizer.from_pretrained(path)(text)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0]
    found = espalier_logits(path, ids)
    difference = (found - expected).abs().max().item()
    same = (found.argmax(-1) == expected.argmax(-1)).sum().item()
    print(f"{len(ids)} tokens, largest |logit| {expected.abs().max():.3f}, largest difference {difference:.2e} (bound {bound:.0e})")
    print(f"the same greedy token at {same} of {len(ids)} positions")
    sys.exit(0 if difference <= bound else 1)


if __name__ == "__main__":
    main()
