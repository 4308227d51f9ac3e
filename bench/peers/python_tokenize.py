# Tokenizing a JSON lines corpus as people do in Python: datasets' map over the tokenizers library, in batches, by processes.
#   python bench/peers/python_tokenize.py CORPUS.jsonl TOKENIZER.json WORKERS
# Prints one JSON line: seconds of load, map and writing token ids; documents, tokens.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, datasets 5.2.0, tokenizers 0.23.3, numpy 2.4.6
import json
import os
import sys
import tempfile
import time

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
import numpy as np
from datasets import disable_caching, disable_progress_bars, load_dataset
from tokenizers import Tokenizer


def main():
    corpus, tokenizer_file, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    disable_caching()
    disable_progress_bars()
    tokenizer = Tokenizer.from_file(tokenizer_file)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        data = load_dataset("json", data_files=corpus, split="train", cache_dir=folder)

        def encode(batch):
            return {"ids": [item.ids for item in tokenizer.encode_batch(batch["text"], add_special_tokens=False)]}

        encoded = data.map(encode, batched=True, num_proc=workers, remove_columns=data.column_names)
        tokens = 0
        with open(os.path.join(folder, "tokens.bin"), "wb") as file:
            for batch in encoded.with_format("numpy").iter(batch_size=1000):
                for ids in batch["ids"]:
                    file.write(np.asarray(ids, dtype=np.uint16).tobytes())
                    tokens += len(ids)
        seconds = time.perf_counter() - started
    print(json.dumps(dict(seconds=seconds, documents=len(data), tokens=tokens)))


if __name__ == "__main__":
    main()
