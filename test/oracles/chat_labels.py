# Which tokens of a conversation are the assistant's, by transformers: test/fixtures/data/chat_labels.json.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, transformers 5.23, tokenizers 0.23
#   python test/oracles/chat_labels.py
# The tokenizer is tinyByteLevel of test/src/tokenizer/tiny-tokenizer.ts.
#
# template: of the conversations, without the marks that transformers needs; rows[]: {messages, ids, mask}
import json
import random
import re
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "data" / "chat_labels.json"

MARKED = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]\n"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}{{ eos_token }}{% endgeneration %}"
    "{% else %}{{ message['content'] }}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
WORDS = ["hello", "hell", "he", " w", "world", "  ", "\n", "é", "日本", "<user>", "ll", "?", "12", "'ll"]


def tiny_byte_level():
    characters = {byte: chr(byte) for byte in [*range(33, 127), *range(161, 173), *range(174, 256)]}
    for place, byte in enumerate(byte for byte in range(256) if byte not in characters):
        characters[byte] = chr(256 + place)
    tokens = ["<s>", "</s>", *(characters[byte] for byte in range(256)), "he", "ll", "hell", "hello", "\u0120w"]
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("\u0120", "w")]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ("<s>", "</s>")])
    tokenizer.add_tokens([AddedToken("<user>", special=False, normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def main():
    draw = random.Random(7)
    tokenizer = tiny_byte_level()
    text = lambda: "".join(draw.choices(WORDS, k=draw.randint(1, 6)))
    rows = []
    for _ in range(20):
        messages = [{"role": "system", "content": text()}] if draw.random() < 0.5 else []
        for _ in range(draw.randint(1, 4)):
            messages += [{"role": role, "content": text()} for role in ("user", "assistant")]
        found = tokenizer.apply_chat_template(
            messages, chat_template=MARKED, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        rows.append({"messages": messages, "ids": found["input_ids"], "mask": found["assistant_masks"]})
    template = re.sub(r"{% (end)?generation %}", "", MARKED)
    OUT.write_text(json.dumps({"template": template, "rows": rows}, ensure_ascii=False) + "\n")


main()
