# Do pruned models load in transformers, and is what is cut out what torch cuts out? Prunes a Llama directory by width and
# by depth with --importance magnitude, loads both in transformers, and compares their logits with espalier's; the depth-
# pruned one also with the source in transformers without those layers. Exits with 1 beyond the bound.
#   python test/oracles/pruned_llama.py MODEL FFN HIDDEN HEADS DROP_LAYERS "1,2,3" [BOUND]
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, torch 2.15.0, transformers 5.23.0
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

MAIN = Path(__file__).parents[2] / "dist" / "cli" / "main.js"


def espalier(*arguments):
    ran = subprocess.run(["node", MAIN, *arguments, "--json"], check=True, capture_output=True, text=True)
    return json.loads(ran.stdout)


def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0]


def without_layers(model, dropped):
    kept = [layer for i, layer in enumerate(model.model.layers, 1) if i not in dropped]
    model.model.layers = torch.nn.ModuleList(kept)
    model.config.num_hidden_layers = len(kept)
    return model


def main():
    source, ffn, hidden, heads, drop = sys.argv[1:6]
    ids = [int(token) for token in sys.argv[6].split(",")]
    bound = float(sys.argv[7]) if len(sys.argv) > 7 else 2e-4
    worst = 0.0
    with tempfile.TemporaryDirectory() as root:
        width = ["--importance", "magnitude", "--ffn", ffn, "--hidden", hidden, "--heads", heads, "--merge-heads"]
        for name, options in {"width": width, "depth": ["--drop-layers", drop]}.items():
            out = f"{root}/{name}"
            report = espalier("prune", source, *options, "--dtype", "f32", "--out", out)
            model = load(out)
            parameters = sum(weight.numel() for weight in model.parameters())
            expected = logits_of(model, ids)
            found = torch.tensor(espalier("logits", out, "--ids", sys.argv[6], "--all")["logits"])
            differences = [(found - expected).abs().max().item()]
            if name == "depth":
                cut = logits_of(without_layers(load(source), report["droppedLayers"]), ids)
                differences.append((cut - expected).abs().max().item())
            told = ", ".join(f"{difference:.2e}" for difference in differences)
            print(f"{name}: {parameters} parameters (espalier says {report['parameters']}), largest difference {told}")
            worst = max(worst, *differences, 0 if parameters == report["parameters"] else float("inf"))
    sys.exit(0 if worst <= bound else 1)


if __name__ == "__main__":
    main()
