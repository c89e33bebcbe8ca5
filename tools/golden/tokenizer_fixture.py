#!/usr/bin/env python3
"""Writes tests/golden/tokenizer: small tokenizers and the ids Hugging Face's `tokenizers` gives.

    pip install tokenizers
    python3 tools/golden/tokenizer_fixture.py --hadal build/release/hadal/hadal

  deepseek/     trained by hadal on its own sources: DeepSeek-V3's three expressions
  expressions/  the same vocabulary behind other expressions (the older tokenizers of the family cut
                this way), merges as two-element lists: goes through PCRE2
Each folder has tokenizer.json and expected.json, a list of {"text", "ids"}.
"""
import argparse
import json
import pathlib
import random
import subprocess

import tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "tests/golden/tokenizer"

TEXTS = [
    "", "Hello!", "Hello, world!", "1234567", "a1b22c333", "你好，世界", "こんにちは", "アー・イ中a",
    "def f(x):\n    return x+1\n", "foo.bar()\n\n", "  two  spaces ", "I'm don't", "#include <iostream>",
    "\t\tx\r\n", "naïve café", "🙂🙂", 'x="y";', "?\n\nAnswer:", "<｜User｜>hi<｜Assistant｜>",
    "<｜begin▁of▁sentence｜>a<｜begin▁of▁", "<<｜User｜><|EOT|>>", " <｜fim▁hole｜> ", "tokens  1  2\n \n x",
    "\u0301\u0308a\u0301", "\x00\x01a\x7f\u0085\u00a0b", "½ⅷ٣४", "\ufffd\ufffd", "\U00010D40\u1C89\U0001CC00",
    "the tokenizer's tokens", "ſ'S 'LL", "a" * 300, " " * 300, "\n" * 100, "中" * 100, "=" * 80, "ab" * 100,
]


def random_texts(rng, n):
    alphabet = ["a", "Z", "é", "\u0301", "1", "٣", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "!", "'", "_", "。",
                "🙂", "中", "ア", "・", "\x01", "token", " std::", "<｜User｜>", "return ", "\u2028"]
    for _ in range(n):
        yield "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 60)))


def write(folder, document, texts):
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n")
    peer = tokenizers.Tokenizer.from_str(text)
    expected = [{"text": t, "ids": peer.encode(t, add_special_tokens=False).ids} for t in texts]
    (folder / "expected.json").write_text(
        "[\n" + ",\n".join(json.dumps(e, separators=(",", ":")) for e in expected) + "\n]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hadal", type=pathlib.Path, required=True)
    options = parser.parse_args()
    subprocess.run([options.hadal.resolve(), "tokenizer", "train", "--data", ROOT / "hadal/data",
                    "--vocab-size", "640", "--out", OUT / "deepseek"], check=True)
    texts = TEXTS + list(random_texts(random.Random(5), 60))
    document = json.loads((OUT / "deepseek/tokenizer.json").read_text())
    (OUT / "deepseek/tokenizer_config.json").unlink()
    write(OUT / "deepseek", document, texts)

    document["model"]["merges"] = [merge.split(" ") for merge in document["model"]["merges"]]
    split = {"type": "Split", "behavior": "Isolated", "invert": False}
    document["pre_tokenizer"]["pretokenizers"] = [
        {**split, "pattern": {"Regex": "[\r\n]"}},
        {**split, "pattern": {"Regex": r"\s?\p{L}+"}},
        {**split, "pattern": {"Regex": r"\s?\p{P}+"}},
        {**split, "pattern": {"Regex": r"\s+$"}},
        {**split, "pattern": {"Regex": "(?i:'s|'ll)|[一-龥ࠀ-一가-퟿]+"}},
        {**split, "pattern": {"String": "=="}},
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ]
    write(OUT / "expressions", document, texts)


if __name__ == "__main__":
    main()
