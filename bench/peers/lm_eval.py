# lm-evaluation-harness on a task's first documents (CPU, float32), once for each line on standard input: the peer of
# bench/evaluate.mjs. Prints one JSON line at the start (tokens of all requests) and one a run.
#   python bench/peers/lm_eval.py MODEL TASK FILE LIMIT THREADS BATCH
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, lm-eval 0.4.13, torch 2.15.0, transformers 5.23.0, datasets 4.4.1
import json
import os
import sys
import tempfile
import time
from pathlib import Path

# This file's folder would shadow the package of the same name.
sys.path.pop(0)
sys.path.append(str(Path(__file__).resolve().parents[2] / "test" / "oracles"))
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
OUT, sys.stdout = sys.stdout, sys.stderr

import lm_eval
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval_tasks import hub_columns, task


def documents(name, path, limit, folder):
    """Lines in the hub's columns, as the harness's own task reads them."""
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()[:limit]]
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(hub_columns(name, row)) + "\n" for row in rows))
    return file


def run(lm, name, file):
    loaded = task(name, file, None, 0)
    started = time.perf_counter()
    result = lm_eval.simple_evaluate(
        model=lm, tasks=[loaded], num_fewshot=0, bootstrap_iters=0, log_samples=True
    )
    seconds = time.perf_counter() - started
    samples = sorted(result["samples"][name], key=lambda sample: sample["doc_id"])
    return seconds, samples


def main():
    model, name, path, limit, threads, batch = sys.argv[1:]
    torch.set_num_threads(int(threads))
    lm = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=int(batch))
    with tempfile.TemporaryDirectory() as folder:
        file = documents(name, path, int(limit), Path(folder))
        requests = [args for _, samples in [run(lm, name, file)] for s in samples for args in s["arguments"]]
        tokens = sum(len(lm.tok_encode(context + continuation)) for context, continuation in requests)
        versions = {"lm_eval": lm_eval.__version__, "torch": torch.__version__}
        print(json.dumps({"tokens": tokens, "versions": versions}), file=OUT, flush=True)
        for _ in sys.stdin:
            seconds, samples = run(lm, name, file)
            found = [float(response[0]) for s in samples for response in s["filtered_resps"]]
            print(json.dumps({"seconds": seconds, "logLikelihoods": found}), file=OUT, flush=True)


if __name__ == "__main__":
    main()
