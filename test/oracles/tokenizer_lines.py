# 1,000 mixed lines and the ids the Rust tokenizers give them: test/fixtures/tokenizers/*.json.
# SPDX-License-Identifier: Apache-2.0
#
# Made with: Python 3.11, tokenizers 0.23.3, sentencepiece 0.2.2, gguf 0.19.0, numpy 2.4.6
#   python test/oracles/tokenizer_lines.py SmolLM2-135M-Instruct.Q4_1.gguf FOLDER
# FOLDER holds llama3_tokenizer.json, llama2_32k_tokenizer.model, gpt2_vocab.json, gpt2_merges.txt and
# bert-base-uncased.vocab.txt; what is missing is left out.
#
# lines.json   [1000] strings
# <name>.json  hashes[1000]: first 8 hex digits of the sha256 of a line's ids as int32 little-endian, no special tokens
#              added; ids[100]: the first lines' ids in full; decode[100]: {ids, text}, random ids decoded, specials kept
import hashlib
import json
import random
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from smollm2_tokenizer import tokenizer_from_gguf
from tokenizers import (
    AddedToken,
    BertWordPieceTokenizer,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
)

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "tokenizers"

SCRIPTS = """
The quick brown fox jumps over the lazy dog; it didn't care, and we'll see why they've gone.
Größenwahn, naïve café, Ångström, œuvre, ﬁnancial ﬂow, Łódź, İstanbul, ñandú, straße
Быстрая коричневая лиса прыгает через ленивую собаку, а съёмка продолжается.
Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί· ἀρχὴ ἥμισυ παντός.
הזריז החום קפץ מעל הכלב העצלן שָׁלוֹם
الثعلب البني السريع يقفز فوق الكلب الكسول ١٢٣٤٥ مُحَمَّد
तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है १२३
দ্রুত বাদামী শিয়াল অলস কুকুরের উপর লাফ দেয় ৪৫৬
வேகமான பழுப்பு நரி சோம்பேறி நாயின் மேல் தாவுகிறது
รวดเร็ว สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ ๑๒๓
敏捷的棕色狐狸跳过了懒狗。一二三四五，这是〇。
敏捷的棕色狐狸跳過了懶狗「引號」、頓號
素早い茶色の狐がのろまな犬を飛び越える。カタカナとひらがな、ﾊﾝｶｸ
빠른 갈색 여우가 게으른 개를 뛰어넘는다 한글 자모
სწრაფი ყავისფერი მელა გადახტა ზარმაც ძაღლს
Արագ շագանակագույն աղվեսը ցատկում է ծույլ շան վրայով
ፈጣኑ ቡናማ ቀበሮ ሰነፉን ውሻ ዘለለ ፩፪፫
ရွှေရောင် မြေခွေး ၁၂၃ မြန်မာ
កញ្ជ្រោងពណ៌ត្នោតរហ័ស ១២៣
ཝ་སྨུག་མྱུར་པོ། བོད་ཡིག
Con cáo nâu nhanh nhẹn nhảy qua con chó lười biếng: ấ ề ổ ữ ự
𐌰𐌱𐌲 𝕳𝖊𝖑𝖑𝖔 𝟘𝟙𝟚 𝑎𝑏𝑐 𓀀𓁐 𠀀𠮷 ①②③ ½¾ Ⅷ ²³
""".strip().split("\n")

CODE = r"""
def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n-1) + fibonacci(n - 2)  # O(2^n)
for (let i = 0; i < 1024; ++i) { a[i] ??= b?.c ?? `x${i}y`; }
#include <immintrin.h>
template <typename T, std::size_t N = 16> constexpr auto f(const T (&x)[N]) noexcept;
	__m256 acc = _mm256_fmadd_ps(a, b, acc);	// tabs	inside
SELECT COUNT(*), AVG(price) FROM orders WHERE date >= '2024-01-31' AND id <> 0x1F;
<div class="a b-c" data-x='{"k": [1,2,3]}'>&nbsp;&amp;<!-- c --></div>
https://example.com/path/to?query=1&b=%20x#frag user.name+tag@mail.co.uk C:\Users\x\n
git commit -m "fix: don't crash" && npm run build --silent 2>&1 | tee -a log.txt
{"id":12345678901234567890,"pi":3.14159e-10,"neg":-0.5,"t":true,"n":null}
fn main() { println!("{:?} {:>8.3}", vec![1u8; 4], 2.5_f64); }
$$\int_{-\infty}^{\infty} e^{-x^2}\,dx = \sqrt{\pi}$$ \begin{align*}
    if (x == NULL) {
        return -1;
    }
camelCaseIdentifier snake_case_identifier SCREAMING_SNAKE kebab-case-name HTTPServerX2Y3
0b1010 0o777 0xDEADBEEF 1_000_000 1,234,567.89 1e9 .5 5. 007 192.168.0.1 12:34:56
I'M SHE'LL they'd I'd you're we've 'tis o'clock 's 't 're 've 'm 'll 'd 'S 'T
!!! ??? ... --- === *** ~~~ ``` ;;; ::: ### @@@ $$$ %%% ^^^ &&& ((( ))) [[ ]] {{ }} <> </> || \\ //
""".strip("\n").split("\n")

EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷🇯🇵", "👍🏽", "❤️", "☃", "1️⃣", "🧑🏿‍🚀", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "™", "✔︎", "🫠", "🤷‍♀️", "♻️♻"]
SPACES = [" ", "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r", " \n ", "\u00a0", "\u2003", "\u3000", "\u200b", "\u2028", "\u0085", "\u000b", "\u000c", "        ", "\u1680"]  # fmt: skip
CONTROL = ["\x00", "\x01", "\x07", "\x08", "\x1b[31m", "\x1f", "\x7f", "\u0080", "\u009f", "\ufeff", "\ufffd", "\ufffe", "\u200d", "\u200e", "\u202e", "\ue000", "\U0010ffff", "\u00ad", "e\u0301", "\u0301", "a\u0308\u0323", "\u1100\u1161\u11a8"]  # fmt: skip
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "[CLS]", "[MASK]", "<|begin_of_text|>", "<0x0A>", "▁", "Ġ", "##ing", "<unk>", "<|im_start", "im_end|>"]  # fmt: skip


def fragment(rng):
    kind = rng.random()
    if kind < 0.35:
        words = rng.choice(SCRIPTS).split(" ")
        start = rng.randrange(len(words))
        return " ".join(words[start : start + rng.randint(1, 8)])
    if kind < 0.6:
        line = rng.choice(CODE)
        start = rng.randrange(max(1, len(line) // 2))
        return line if rng.random() < 0.5 else line[start : start + rng.randint(3, 40)]
    if kind < 0.7:
        return "".join(rng.choice(EMOJI) for _ in range(rng.randint(1, 4)))
    if kind < 0.8:
        return "".join(rng.choice(SPACES) for _ in range(rng.randint(1, 6)))
    if kind < 0.87:
        return rng.choice(CONTROL)
    if kind < 0.92:
        return rng.choice(SPECIAL)
    if kind < 0.96:
        return str(rng.randrange(10 ** rng.randint(1, 14)))
    low, high = rng.choice([(0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x52F), (0x2000, 0x2BFF), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x1F300, 0x1F64F)])  # fmt: skip
    return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 12)))


def make_lines():
    rng = random.Random(20240131)
    lines = SCRIPTS + CODE + ["", " ", "  ", "\n", "a", " a", "a ", "  a  b   c    d", "x =  12", "\t\tx\n\n\n  y"]
    while len(lines) < 1000:
        joint = rng.choice(["", " ", " ", "  "])
        lines.append(joint.join(fragment(rng) for _ in range(rng.randint(1, 5))))
    rng.shuffle(lines)
    return lines


def llama2(path):
    """As transformers converts a SentencePiece BPE model: merges by score, bytes for what is unknown."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    size = processor.get_piece_size()
    pieces = [processor.id_to_piece(i) for i in range(size)]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    merges = []
    for i, piece in enumerate(pieces):
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocab and right in vocab:
                merges.append((processor.get_score(i), vocab[left], vocab[right], left, right))
    merges.sort(key=lambda m: (-m[0], m[1], m[2]))
    pairs = [(left, right) for _, _, _, left, right in merges]
    tokenizer = Tokenizer(models.BPE(vocab, pairs, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = [i for i in range(size) if processor.is_control(i) or processor.is_unknown(i)]
    tokenizer.add_special_tokens([AddedToken(pieces[i], normalized=False, special=True) for i in special])
    return tokenizer


def gpt2(vocab, merges):
    pairs = [tuple(line.split(" ")) for line in merges.read_text("utf-8").split("\n")[1:] if line]
    tokenizer = Tokenizer(models.BPE(json.loads(vocab.read_text("utf-8")), pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", normalized=False, special=True)])
    return tokenizer


def write(name, tokenizer, lines):
    ids = [tokenizer.encode(line, add_special_tokens=False).ids for line in lines]
    rng = random.Random(7)
    size = tokenizer.get_vocab_size()
    random_ids = [[rng.randrange(size if i % 2 else 300) for _ in range(rng.randint(1, 12))] for i in range(100)]
    document = dict(
        hashes=[hashlib.sha256(np.array(row, "<i4").tobytes()).hexdigest()[:8] for row in ids],
        ids=ids[:100],
        decode=[dict(ids=row, text=tokenizer.decode(row, skip_special_tokens=False)) for row in random_ids],
    )
    (OUT / f"{name}.json").write_text(json.dumps(document, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(name, sum(map(len, ids)), "ids")


def main():
    gguf, folder = Path(sys.argv[1]), Path(sys.argv[2])
    OUT.mkdir(parents=True, exist_ok=True)
    lines = make_lines()
    (OUT / "lines.json").write_text(json.dumps(lines, ensure_ascii=True, indent=0) + "\n")
    write("smollm2", tokenizer_from_gguf(GGUFReader(gguf)), lines)
    sources = {
        "llama3": (Tokenizer.from_file, ["llama3_tokenizer.json"]),
        "llama2": (llama2, ["llama2_32k_tokenizer.model"]),
        "gpt2": (gpt2, ["gpt2_vocab.json", "gpt2_merges.txt"]),
        "bert": (BertWordPieceTokenizer, ["bert-base-uncased.vocab.txt"]),
    }
    for name, (make, files) in sources.items():
        paths = [folder / file for file in files]
        if not all(path.exists() for path in paths):
            print(name, "left out: no", files)
            continue
        write(name, make(*(str(p) if name in ("llama3", "bert") else p for p in paths)), lines)


main()
