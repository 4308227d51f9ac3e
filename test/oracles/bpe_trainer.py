# What the Rust tokenizers' BpeTrainer makes of small corpora: test/fixtures/data/bpe_trainer.json.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, tokenizers 0.23.3, transformers 5.23
#   python test/oracles/bpe_trainer.py
#
# [{name, vocabSize, specialTokens, minFrequency, corpus, merges[][2], size, ids[][]}]
#   corpus  texts, or "lines": test/fixtures/tokenizers/lines.json
#   ids     of test/fixtures/tokenizers/lines.json's first 40 lines
#
# With a directory as argument: checks that transformers and the Rust tokenizers read what `tokenizer train` wrote there,
# and prints their ids of the same lines as JSON.
import json
import random
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
LINES = json.loads((FIXTURES / "tokenizers" / "lines.json").read_text())


def letters(seed, count, alphabet, longest):
    rng = random.Random(seed)
    return [" ".join("".join(rng.choices(alphabet, k=rng.randint(1, longest))) for _ in range(30)) for _ in range(count)]


def train(name, corpus, vocab_size, special, min_frequency):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        min_frequency=min_frequency,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES if corpus == "lines" else corpus, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return dict(
        name=name,
        vocabSize=vocab_size,
        specialTokens=special,
        minFrequency=min_frequency,
        corpus=corpus,
        merges=model["merges"],
        size=tokenizer.get_vocab_size(),
        ids=[tokenizer.encode(line).ids for line in LINES[:40]],
    )


def read(directory):
    from transformers import AutoTokenizer

    rust = Tokenizer.from_file(f"{directory}/tokenizer.json")
    auto = AutoTokenizer.from_pretrained(directory)
    ids = [rust.encode(line).ids for line in LINES[:40]]
    assert ids == [auto(line)["input_ids"] for line in LINES[:40]]
    assert auto.eos_token_id == auto.bos_token_id == 0, (auto.bos_token, auto.eos_token)
    print(json.dumps(ids))


def main():
    if len(sys.argv) > 1:
        return read(sys.argv[1])
    end = ["<|endoftext|>"]
    cases = [
        train("mixed lines", "lines", 700, end, 0),
        train("mixed lines, frequent pairs", "lines", 3000, [*end, "<|user|>", "<|assistant|>"], 3),
        # Few letters: the same tokens are made from different pairs, and pairs run out.
        train("two letters", letters(1, 12, "ab", 9), 900, end, 0),
        train("runs", letters(2, 6, "aaab", 14), 400, [], 0),
        train("one word", ["abababab"], 300, end, 0),
        train("nothing to merge", ["a b"], 300, end, 0),
        train("ties", ["ab cd ef gh", "ab cd ef gh", "hg fe dc ba"], 290, end, 0),
    ]
    (FIXTURES / "data" / "bpe_trainer.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    for case in cases:
        print(case["name"], case["size"], len(case["merges"]))


main()
