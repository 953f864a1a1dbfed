#!/usr/bin/env python3
"""Makes tests/data/text: a small tokenizer of the kind that GPT-NeoX and Mamba use, and the ids that it gives.

    VENV/bin/python tests/oracle/make_tokenizer.py tests/data/text     (VENV: tests/oracle/setup.sh)

The words are learnt from this repository's own documents; the ids come from the `tokenizers` library.
"""
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = pathlib.Path(sys.argv[1])


def train():
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<|endoftext|>", "<|padding|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tok.train_from_iterator([(ROOT / "README.md").read_text(), (ROOT / "CONTRIBUTING.md").read_text()], trainer)
    tok.add_tokens([AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
    return tok


def texts(seed):
    draw = random.Random(seed)
    plain = list("abcdefghij the and ing 's 're 'll  \t\n\r.,!?'\"0123456789")
    wide = ["é", "e\u0301", "n\u0303", "中", "文", "한", "\u1112\u1161\u11ab", "\u2126", "🙂", "a\u0323\u0307", "\u00a0",
            "\u3000", "²", "Ⅷ", "\u0915\u093c", "\u0340", "ﬁ", "\u212b", "\u0344"]
    words = ["<|endoftext|>", "<|padding|>", "    ", " " * 30, "don't", "we'll", "I've", "they'RE"]
    for n in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377] * 3:
        yield "".join(draw.choice(draw.choices([plain, wide, words], [8, 2, 1])[0]) for _ in range(n))
    yield (ROOT / "ARCHITECTURE.md").read_text()[:3000]


tok = train()
OUT.mkdir(parents=True, exist_ok=True)
(OUT / "tokenizer.json").write_text(json.dumps(json.loads(tok.to_str()), separators=(",", ":")) + "\n")
cases = [{"text": t, "ids": tok.encode(t).ids} for t in texts(1)]
(OUT / "ids.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
