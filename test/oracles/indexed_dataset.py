# Megatron's own token files, samples and blends: test/fixtures/data/.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, megatron-core 0.16.1, numpy 2.4.6, torch 2.15
#   python test/oracles/indexed_dataset.py
#
# {int32,uint16}.{bin,idx}   written by Megatron's IndexedDatasetBuilder
# gpt.json
#   shuffles[]  {seed, size, head[16], sha256 of the shuffled int32 arange}
#   pairs{}     {name: documents[] of sequences[] of token ids}
#   datasets[]  {data (a name, or [[weight, name], ...]), sequenceLength, split, seed, samples[3], eod,
#               splits: {train, validation, test}: null or {length, samples: {index: tokens + last label},
#               positions: {index: position_ids with the positions reset at eod}, masked: {index: eod_mask_loss's zeros},
#               sha256 of document_index, sample_index, shuffle_index where there is one source}}
import hashlib
import json
import random
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "data"
EOD = 7


class Tokenizer:
    eod = EOD
    pad = -1
    vocab_size = 100000
    unique_identifiers = {"class": "oracle"}
    special_tokens_dict = {"eod": EOD}


def documents_of(seed, count, vocab, longest, split_some):
    """Documents of one sequence, some empty, some of several sequences."""
    rng = random.Random(seed)
    documents = []
    for i in range(count):
        if i % 6 == 4:
            documents.append([])
            continue
        parts = rng.randint(2, 3) if split_some and i % 5 == 2 else 1
        document = [[rng.randrange(vocab) for _ in range(rng.randint(1, longest))] for _ in range(parts)]
        document[-1].append(EOD)
        documents.append(document)
    return documents


def write(prefix, documents, dtype):
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=dtype)
    for document in documents:
        builder.add_document([i for part in document for i in part], [len(part) for part in document])
    builder.finalize(f"{prefix}.idx")


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array, "<i4").tobytes()).hexdigest()


def shuffles():
    rows = []
    for seed, size in [(0, 2), (1, 10), (1234, 1), (1234, 1000), (42, 4096), (42, 4097), (2**32 - 1, 70000)]:
        values = np.arange(size, dtype=np.int32)
        np.random.RandomState(seed).shuffle(values)
        rows.append(dict(seed=seed, size=size, head=values[:16].tolist(), sha256=digest(values)))
    return rows


def describe(dataset):
    if dataset is None or len(dataset) == 0:
        return None
    picks = sorted({*range(min(4, len(dataset))), len(dataset) // 2, len(dataset) - 1})
    items = {i: dataset[i] for i in picks}
    row = dict(
        length=len(dataset),
        samples={i: items[i]["tokens"].tolist() + [int(items[i]["labels"][-1])] for i in picks},
        positions={i: items[i]["position_ids"].tolist() for i in picks},
        masked={i: torch.nonzero(items[i]["loss_mask"] == 0).flatten().tolist() for i in picks},
    )
    if isinstance(dataset, GPTDataset):
        row["sha256"] = [digest(dataset.document_index), digest(dataset.sample_index), digest(dataset.shuffle_index)]
    return row


def run(case, folder):
    data = case["data"]
    blend = ([str(folder / data)], None) if isinstance(data, str) else ([str(folder / n) for _, n in data], [w for w, _ in data])
    shutil.rmtree(folder / "cache", ignore_errors=True)
    config = GPTDatasetConfig(
        random_seed=case["seed"],
        sequence_length=case["sequenceLength"],
        blend=blend,
        split=case["split"],
        tokenizer=Tokenizer(),
        reset_position_ids=True,
        reset_attention_mask=True,
        eod_mask_loss=True,
        create_attention_mask=True,
        path_to_cache=str(folder / "cache") if isinstance(data, str) else None,
        mid_level_dataset_surplus=0.005,
    )
    sets = BlendedMegatronDatasetBuilder(GPTDataset, case["samples"], lambda: True, config).build()
    splits = {name: describe(found) for name, found in zip(["train", "validation", "test"], sets)}
    return dict(**case, eod=EOD, splits=splits)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    pairs = {
        "int32": documents_of(1, 40, 100000, 60, True),
        "uint16": documents_of(2, 25, 2000, 90, False),
    }
    cases = [
        dict(data="int32", sequenceLength=16, split="1,0,0", seed=1234, samples=[None, None, None]),
        dict(data="int32", sequenceLength=16, split="80,15,5", seed=1234, samples=[30, 5, 2]),
        dict(data="int32", sequenceLength=32, split="99,1,0", seed=42, samples=[31, None, None]),
        dict(data="int32", sequenceLength=7, split="70,20,10", seed=5, samples=[1000, 100, 33]),
        dict(data="uint16", sequenceLength=48, split="80,20", seed=0, samples=[25, 3, 0]),
        dict(data="uint16", sequenceLength=1, split="100,0,0", seed=9, samples=[5, 0, 0]),
        dict(data=[[0.7, "int32"], [0.3, "uint16"]], sequenceLength=16, split="80,20,0", seed=1234, samples=[200, 20, 0]),
        dict(data=[[3, "uint16"], [1, "int32"], [2, "uint16"]], sequenceLength=8, split="1,0,0", seed=77, samples=[333, 0, 0]),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for pair, documents in pairs.items():
            write(folder / pair, documents, getattr(np, pair))
            for suffix in [".bin", ".idx"]:
                shutil.copy(folder / f"{pair}{suffix}", OUT)
        document = dict(shuffles=shuffles(), pairs=pairs, datasets=[run(case, folder) for case in cases])
    (OUT / "gpt.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")


main()
