# What lm-evaluation-harness asks and scores: test/fixtures/tasks/requests.json and scores.json.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, lm-eval 0.4.13, torch 2.15.0, transformers 5.23.0, datasets 4.4.1, rouge-score 0.1.2
#   pip install lm-eval==0.4.13 torch==2.15.0 transformers==5.23.0 datasets==4.4.1 rouge-score==0.1.2
#   python test/oracles/lm_eval_tasks.py requests
#   espalier export SmolLM2-135M-Instruct.Q4_1.gguf --dtype f32 --out MODEL
#   python test/oracles/lm_eval_tasks.py scores MODEL EVALS
#
# The harness's own task files are used; only where the documents come from is changed.
# requests.json: of the small documents beside it (hand-written for the traps), with a model that is no model: the
#   log-likelihood of a continuation is -(sum of its UTF-8 bytes mod 97) / 7, generated answers are ANSWERS in turn.
#   cases[] {task, shots, pool: file of the examples or null for the documents' own,
#            documents[]: {requests: [[context, continuation]], logLikelihoods} or {request: [context, until], answer,
#            filtered: {filter: text}}, results: {metric: value}}; rouge[] {target, answer, rouge1, rouge2, rougeL}
# scores.json: of the first LIMIT documents of EVALS/<task>.jsonl, turned into the hub's columns, by SmolLM2 in float32:
#   cases[] {task, shots, documents, requestsSha256: of the [context, continuation] pairs as one JSON text,
#            logLikelihoods[][], results}
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
import lm_eval
import torch
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml
from rouge_score.rouge_scorer import RougeScorer

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "tasks"
TASKS = Path(lm_eval.__file__).parent / "tasks"
FILES = {
    "arc_easy": "arc/arc_easy.yaml",
    "piqa": "piqa/piqa.yaml",
    "winogrande": "winogrande/default.yaml",
    "boolq": "super_glue/boolq/default.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "mmlu": "mmlu/default/mmlu_elementary_mathematics.yaml",
    "gsm8k": "gsm8k/gsm8k.yaml",
}
LIMIT = {"arc_easy": 100, "piqa": 100, "winogrande": 100, "boolq": 50}
ANSWERS = [
    " 3 times 4 is 12.\n#### 12",
    " They cost $1,500.\n#### $1,500 Question: next",
    " It is -3.",
    " #### 2.50\n#### 2.5",
    " about six",
    " #### 9.",
    " It is 1,9 or 19 .",
    " 29.",
]
ROUGE = [
    ["The cat sat on the mat.", "the cat is on the mat"],
    ["a b c d e f g", "g f e d c b a"],
    ["Two words", ""],
    ["It's 3.5% of the café's income", "its 3 5 of the caf s INCOME"],
    ["the the the cat", "the the dog the the the"],
    ["police killed the gunman", "police kill the gunman . the gunman police killed"],
]


def task(name, documents, pool, shots):
    """The harness's task over local files; pool None: examples come from the documents."""
    config = load_yaml(TASKS / FILES[name])
    config.pop("group", None)
    config.update(task=name, dataset_path="json", dataset_name=None, num_fewshot=shots)
    other = str(pool or documents)
    files = {"train": other, "dev": other, "validation": str(documents), "test": str(documents)}
    config["dataset_kwargs"] = {"data_files": files, "cache_dir": tempfile.mkdtemp()}
    if pool is None:
        config.update(test_split="test", fewshot_split="test")
    return ConfigurableTask(config=config)


class NoModel(LM):
    def loglikelihood(self, requests, disable_tqdm=False):
        return [(-(sum(r.args[1].encode()) % 97) / 7, False) for r in requests]

    def generate_until(self, requests, disable_tqdm=False):
        out = []
        for request, answer in zip(requests, ANSWERS):
            for stop in request.args[1]["until"]:
                answer = answer.split(stop)[0]
            out.append(answer)
        return out

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError


def evaluate(model, name, documents, pool, shots, limit=None, **options):
    result = lm_eval.simple_evaluate(
        model=model, tasks=[task(name, documents, pool, shots)], num_fewshot=shots, limit=limit, bootstrap_iters=1,
        log_samples=True, **options,
    )
    results = {k: v for k, v in result["results"][name].items() if isinstance(v, float)}
    samples = sorted(result["samples"][name], key=lambda s: s["doc_id"])
    return results, samples


def pairs(sample):
    return [list(arguments) for arguments in sample["arguments"]]


def document_of(samples):
    """One document's samples: one for each filter."""
    first = samples[0]
    if "gsm8k" not in first["task"]:
        return {"requests": pairs(first), "logLikelihoods": [float(r[0]) for r in first["filtered_resps"]]}
    [[context, options]] = pairs(first)
    return {
        "request": [context, options["until"]],
        "answer": first["resps"][0][0],
        "filtered": {s["filter"]: s["filtered_resps"][0] for s in samples},
    }


def requests():
    cases = []
    for name in FILES:
        own = FIXTURES / f"{name}.jsonl"
        train = FIXTURES / f"{name}_train.jsonl"
        settings = [(None, 0), (None, 2)] + ([(train, 2)] if train.exists() else [])
        for pool, shots in settings:
            results, samples = evaluate(NoModel(), name, own, pool, shots)
            by_document = {}
            for sample in samples:
                by_document.setdefault(sample["doc_id"], []).append({**sample, "task": name})
            cases.append({
                "task": name, "shots": shots, "pool": pool and pool.name,
                "documents": [document_of(s) for _, s in sorted(by_document.items())], "results": results,
            })
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    rouge = []
    for target, answer in ROUGE:
        scores = scorer.score(target, answer)
        rouge.append({"target": target, "answer": answer, **{k: v.fmeasure for k, v in scores.items()}})
    return {"script": "test/oracles/lm_eval_tasks.py", "harness": lm_eval.__version__, "cases": cases, "rouge": rouge}


def hub_columns(name, row):
    if name == "winogrande":
        first, second = row["context_options"]
        common = 0
        while common < min(len(first), len(second)) and first[common] == second[common]:
            common += 1
        sentence = f"{first[:common]}_ {row['continuation']}"
        options = {"option1": first[common:], "option2": second[common:]}
        return {"sentence": sentence, **options, "answer": str(row["gold"] + 1)}
    query, choices, gold = row["query"], row["choices"], row["gold"]
    if name == "arc_easy":
        labels = [str(i) for i in range(len(choices))]
        question = query.removeprefix("Question: ")
        return {"question": question, "choices": {"text": choices, "label": labels}, "answerKey": str(gold)}
    if name == "piqa":
        goal = query.removeprefix("Question: ").removesuffix("\n")
        return {"goal": goal, "sol1": choices[0], "sol2": choices[1], "label": gold}
    passage, question = query.removeprefix("Passage: ").removesuffix("?").rsplit("\nQuestion: ", 1)
    return {"passage": passage, "question": question, "label": gold}


def scores(model, evals):
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(1)
    lm = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=4)
    cases = []
    folder = Path(tempfile.mkdtemp())
    for name, limit in LIMIT.items():
        lines = (Path(evals) / f"{name}.jsonl").read_text().splitlines()
        hub = folder / f"{name}.jsonl"
        hub.write_text("".join(json.dumps(hub_columns(name, json.loads(line))) + "\n" for line in lines))
        for shots in [0, 2] if name == "arc_easy" else [0]:
            results, samples = evaluate(lm, name, hub, None, shots, limit=limit if shots == 0 else 40)
            asked = [pairs(sample) for sample in samples]
            text = json.dumps(asked, ensure_ascii=False, separators=(",", ":"))
            cases.append({
                "task": name, "shots": shots, "documents": len(samples),
                "requestsSha256": hashlib.sha256(text.encode()).hexdigest(),
                "logLikelihoods": [[round(float(r[0]), 5) for r in s["filtered_resps"]] for s in samples],
                "results": results,
            })
            print(name, shots, results, flush=True)
    return {"script": "test/oracles/lm_eval_tasks.py", "harness": lm_eval.__version__, "cases": cases}


if __name__ == "__main__":
    what = sys.argv[1]
    made = requests() if what == "requests" else scores(*sys.argv[2:4])
    (FIXTURES / f"{what}.json").write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n")
