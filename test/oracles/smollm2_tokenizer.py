# SmolLM2's tokenizer from its GGUF, by the Rust tokenizers: shared by the oracles beside it.
# SPDX-License-Identifier: Apache-2.0
#
# transformers' own GGUF loader ignores tokenizer.ggml.pre; here "smollm" means what SmolLM2's published tokenizer.json
# says: single digits first, then the GPT-2 byte-level split.
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CONTROL = 3  # tokenizer.ggml.token_type of special tokens


def tokenizer_from_gguf(reader):
    field = lambda key: reader.fields["tokenizer.ggml." + key].contents()
    assert field("model") == "gpt2" and field("pre") == "smollm"
    tokens, types = field("tokens"), field("token_type")
    merges = [tuple(merge.split(" ")) for merge in field("merges")]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, types) if kind == CONTROL]
    tokenizer.add_special_tokens(special)
    return tokenizer


def chat_template(reader):
    return reader.fields["tokenizer.chat_template"].contents()
