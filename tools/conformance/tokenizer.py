#!/usr/bin/env python3
"""Holds hadal's tokenizer against Hugging Face's `tokenizers` and OpenAI's `tiktoken`.

    pip install tokenizers tiktoken
    python3 tools/conformance/tokenizer.py --hadal build/release/hadal/hadal --tokenizer DIR

DIR holds DeepSeek-V3's tokenizer.json. Five parts; the exit code is 0 only if all hold:
  vectors    known ids of short texts, from an independent implementation
  ids        at least 50 MB of mixed text: every id equal to `tokenizers`
  trained    a tokenizer trained by hadal gives the same ids in `tokenizers`
  speed      one thread, the same texts, in turns: >= 10 times `tokenizers`, >= 4 times `tiktoken`
  scaling    4 times the text takes at most 5 times as long, whatever the text
Texts come from Debian packages (fetched with apt-get download, kept in --cache), from the machine's
own Python, and from a seeded generator.
"""
import argparse
import gzip
import json
import os
import pathlib
import random
import subprocess
import sys
import sysconfig
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tiktoken  # noqa: E402
import tokenizers  # noqa: E402

MB = 1_000_000
PACKAGES = ["manpages-zh", "debian-reference-zh-cn", "golang-1.19-src", "manpages-dev"]


# ---- texts ----

def fetch(package, cache):
    folder = cache / package
    if not folder.exists():
        subprocess.run(["apt-get", "download", "-q", package], cwd=cache, check=True,
                       stdout=subprocess.DEVNULL)
        archive = next(cache.glob(package + "_*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
    return folder


def files_text(folder, suffixes, limit):
    """Whole files up to `limit` bytes; bytes that are not UTF-8 stay, to be replaced alike."""
    parts, size = [], 0
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_symlink() or not path.is_file() or not path.name.endswith(suffixes):
            continue
        data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
        parts.append(data)
        size += len(data)
        if size >= limit:
            break
    return b"".join(parts)[:limit]


def blocks_text():
    """Every code point, alone and beside letters, digits, spaces, marks and line breaks."""
    frames = ["{}", "{} {}", "a{}b", " {}", "{}1", "中{}文", "{}\n", "'{}s", "{}\u0301", "ア{}。"]
    out = []
    for code_point in range(0x110000):
        if 0xD800 <= code_point < 0xE000:
            continue
        c = chr(code_point)
        # Planes without characters are sampled; all others are complete.
        if 0x31350 <= code_point < 0xE0000 or code_point > 0xE0200:
            if code_point % 97:
                continue
        out.extend(frame.format(c, c) for frame in frames)
    return "".join(out).encode()


def random_text(rng, size, control_tokens):
    """Runs over alphabets that meet at every boundary the pattern knows."""
    alphabets = [
        "abcdefghijklmnopqrstuvwxyz", "ABCDEFG", "0123456789", " ", "\n", "\r\n", "\t", "\u00a0",
        "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "中文的是不了在人有我他这为之大来以个", "あいうえおアイウエオー・゛",
        "٠١٢٣४५६७", "éèüßøñ", "\u0301\u0308\u0327", "🙂😀🚀👩‍👩‍👧‍👦🇩🇪❤️", "\x00\x01\x02\x7f\x85", "\u2028\u2029\u3000\u200b\ufeff",
        "½¾ⅷ〇㉑", "。、！？「」", "ΑΒΓαβγ", "абвгд", "한국어", "ไทยก่", "\U00020000\U0002A6D6", "«»“”‘’…—",
    ]
    words = control_tokens + [t[:-1] for t in control_tokens[:20]] + [
        "the", " the", "don't", "I'm", "'ll", " 've", "http://", "  ", "\n\n", " \n", "\n ", "\r",
        "return", "===", "---", "####"]
    out, length = [], 0
    while length < size:
        if rng.random() < 0.15:
            part = rng.choice(words)
        else:
            alphabet = rng.choice(alphabets)
            part = "".join(rng.choice(alphabet) for _ in range(min(40, int(rng.expovariate(0.3)) + 1)))
        out.append(part)
        length += len(part.encode())
    return "".join(out).encode()


def run_units():
    return {
        "letter a": b"a", "letter z": b"z", "space": b" ", "line break": b"\n", "digit": b"7",
        "exclamation": b"!", "equals": b"=", "ideograph": "中".encode(), "kana": "ア".encode(),
        "emoji": "🙂".encode(), "combining mark": "\u0301".encode(), "space, break": b" \n",
        "letter, space": b"a ", "two letters": b"ab", "tab": b"\t", "control": b"\x01", "bracket": b"<",
        "begun control token": "<｜begin▁of▁".encode(), "quote, letter": b"'a", "invalid": b"\xff",
        "U+FFFD": "\ufffd".encode(),
    }


def make_texts(cache, tokenizer_file, megabytes):
    rng = random.Random(7)
    control = [t["content"] for t in json.loads(tokenizer_file.read_text())["added_tokens"]]
    python = sysconfig.get_paths()["stdlib"]
    scale = megabytes / 50
    texts = {
        "chinese man pages": files_text(fetch("manpages-zh", cache), (".gz",), int(8 * MB * scale)),
        "chinese book": files_text(fetch("debian-reference-zh-cn", cache), (".html",),
                                   int(4 * MB * scale)),
        "go": files_text(fetch("golang-1.19-src", cache), (".go",), int(12 * MB * scale)),
        "english man pages": files_text(fetch("manpages-dev", cache), (".gz",), int(6 * MB * scale)),
        "python": files_text(python, (".py",), int(10 * MB * scale)),
        "every code point": blocks_text(),
        "mixed alphabets": random_text(rng, int(6 * MB * scale), control),
        "random bytes": rng.randbytes(int(2 * MB * scale)),
        "long runs": b"|".join(unit * (60_000 // len(unit)) for unit in run_units().values()),
    }
    short = megabytes * MB - sum(map(len, texts.values()))
    if short > 0:
        texts["more mixed alphabets"] = random_text(rng, int(short), control)
    return texts


# ---- vectors ----

VECTORS = [
    ("Hello!", "19923 3"), ("Hello, world!", "19923 14 2058 3"), ("ABCD", "51453"),
    ("1234567", "6895 18009 25"), ("a1b22c333", "67 19 68 1302 69 11722"),
    ("你好，世界", "30594 303 3427"), ("こんにちは", "4549 7245 2298 12457 2841"),
    ("def f(x):\n    return x+1\n", "3465 285 4042 3395 361 1354 1527 13 19 201"),
    ("foo.bar()\n\n", "40897 6229 287 10414"), ("  two  spaces ", "223 1234 223 13564 223"),
    ("I'm don't", "43 4571 2090 1664"), ("#include <iostream>", "6201 818 25428 32"),
    ("\t\tx\r\n", "200 51669 204 201"), ("naïve café", "2720 91223 57664"),
    ("🙂🙂", "80300 227 80300 227"), ('x="y";', "90 1281 91 21390"),
    ("?\n\nAnswer:", "1240 7805 28"), ("<｜User｜>hi<｜Assistant｜>", "128803 6366 128804"),
]


def part_vectors(options):
    wrong = 0
    for text, expected in VECTORS:
        found = hadal_ids(options.hadal, options.tokenizer, text.encode())
        if found != [int(i) for i in expected.split()]:
            wrong += 1
            print(f"  {text!r}: found {found}, expected {expected}")
    print(f"vectors: {len(VECTORS) - wrong} of {len(VECTORS)} equal")
    return wrong == 0


# ---- ids ----

def hadal_json(binary, *arguments):
    done = subprocess.run([binary, "tokenizer", *map(str, arguments), "--json", "--quiet"],
                          capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"hadal tokenizer {arguments[0]}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout)


def hadal_ids(binary, tokenizer, text, threads=1):
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        return hadal_json(binary, "encode", "--model", tokenizer, "--file", file.name,
                          "--threads", threads)["ids"]


def compare(name, peer, binary, tokenizer, text):
    """Texts are cut into parts that the peer encodes in reasonable time; returns bytes that differ."""
    wrong = 0
    for begin in range(0, len(text), 2 * MB):
        part = text[begin:begin + 2 * MB].decode("utf-8", "replace")
        expected = peer.encode(part, add_special_tokens=False).ids
        for threads in (1, 2):
            found = hadal_ids(binary, tokenizer, text[begin:begin + 2 * MB], threads)
            if found == expected:
                continue
            wrong += len(part)
            at = next((i for i, (x, y) in enumerate(zip(found, expected)) if x != y),
                      min(len(found), len(expected)))
            print(f"  {name}: differs in part {begin // (2 * MB)}, {threads} threads, token {at}: "
                  f"found {found[at:at + 5]}, expected {expected[at:at + 5]}, "
                  f"behind {peer.decode(expected[max(0, at - 8):at])!r}")
    return wrong


def part_ids(options, texts):
    peer = tokenizers.Tokenizer.from_file(str(options.tokenizer / "tokenizer.json"))
    wrong = total = 0
    for name, text in texts.items():
        start = time.time()
        differs = compare(name, peer, options.hadal, options.tokenizer, text)
        wrong += differs
        total += len(text)
        print(f"  {name:24} {len(text) / MB:6.2f} MB  {'equal' if not differs else 'DIFFERS'}  "
              f"({time.time() - start:.0f} s)", flush=True)
    print(f"ids: {total / MB:.2f} MB compared, {wrong} characters in parts that differ")
    return wrong == 0


def part_trained(options, texts):
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus.txt"
        corpus.write_bytes(b"\n".join([texts["english man pages"], texts["go"], texts["chinese book"]]))
        trained = []
        for threads in (1, 2):
            out = pathlib.Path(folder) / f"trained{threads}"
            report = hadal_json(options.hadal, "train", "--data", corpus, "--vocab-size", 4096,
                                "--out", out, "--threads", threads)
            trained.append((out / "tokenizer.json").read_bytes())
        same = trained[0] == trained[1]
        peer = tokenizers.Tokenizer.from_file(str(out / "tokenizer.json"))
        for name, text in texts.items():
            wrong += compare(name, peer, options.hadal, out, text[:2 * MB])
        print(f"trained: {report['vocab_size']} tokens from {report['bytes'] / MB:.1f} MB in "
              f"{report['seconds']:.1f} s; one and two threads {'agree' if same else 'DISAGREE'}; "
              f"ids in tokenizers {'equal' if not wrong else 'DIFFER'}")
    return same and wrong == 0 and report["vocab_size"] == 4096


# ---- speed ----

def byte_of_character():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in printable]
    return {**{chr(b): b for b in printable}, **{chr(256 + i): b for i, b in enumerate(other)}}


def tiktoken_encoding(tokenizer_file):
    """The same vocabulary; the three stages joined by |, which cuts nearly the same pieces."""
    document = json.loads(tokenizer_file.read_text())
    table = byte_of_character()
    ranks = {bytes(table[c] for c in token): rank
             for token, rank in document["model"]["vocab"].items() if all(c in table for c in token)}
    stages = [stage["pattern"]["Regex"] for stage in document["pre_tokenizer"]["pretokenizers"]
              if stage["type"] == "Split"]
    return tiktoken.Encoding("deepseek", pat_str="|".join(stages), mergeable_ranks=ranks,
                             special_tokens={})


def part_speed(options, texts):
    peer = tokenizers.Tokenizer.from_file(str(options.tokenizer / "tokenizer.json"))
    tik = tiktoken_encoding(options.tokenizer / "tokenizer.json")
    names = {"english": "english man pages", "code": "go", "chinese": "chinese man pages"}
    samples = {k: texts[v][:3 * MB] for k, v in names.items()}
    samples["mix"] = b"".join(s[:MB] for s in samples.values())
    holds = True
    print("  MB per second of one thread's processor time; the best of each over rounds in turns, with tokenizers' and "
          "tiktoken's best document size")
    for name, data in samples.items():
        text = data.decode("utf-8", "replace")
        documents = {n: [text[i:i + n] for i in range(0, len(text), n)] for n in (2_000, 100_000)}
        best = {"hadal": 0.0, "tokenizers": 0.0, "tiktoken": 0.0}
        ratios = []
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            for _ in range(options.rounds):
                speed = hadal_json(options.hadal, "encode", "--model", options.tokenizer, "--file",
                                   file.name, "--threads", 1, "--bench")["mb_per_cpu_s"]
                here = {"hadal": speed}
                for who, encode in (("tokenizers", lambda d: peer.encode(d, add_special_tokens=False)),
                                    ("tiktoken", tik.encode_ordinary)):
                    here[who] = 0.0
                    for parts in documents.values():
                        start = time.process_time()
                        for part in parts:
                            encode(part)
                        here[who] = max(here[who], len(data) / MB / (time.process_time() - start))
                ratios.append((speed / here["tokenizers"], speed / here["tiktoken"]))
                best = {who: max(best[who], here[who]) for who in best}
        hf, tt = (sorted(r[i] for r in ratios)[len(ratios) // 2] for i in (0, 1))
        holds &= hf >= 10 and tt >= 4
        print(f"  {name:8} hadal {best['hadal']:7.1f}  tokenizers {best['tokenizers']:5.2f}  tiktoken "
              f"{best['tiktoken']:5.2f}  median ratio of the rounds: {hf:5.1f} x tokenizers, "
              f"{tt:5.1f} x tiktoken", flush=True)
    return holds


def part_scaling(options):
    holds = True
    rng = random.Random(3)
    units = {name: lambda size, unit=unit: unit * (size // len(unit))
             for name, unit in run_units().items()}
    units["random letters"] = lambda size: bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=size))
    units["random of four"] = lambda size: bytes(rng.choices(b"ACGT", k=size))
    for name, make in units.items():
        speeds = []
        for size in (MB, 4 * MB):
            with tempfile.NamedTemporaryFile() as file:
                file.write(make(size))
                file.flush()
                # Processor time, the best of each: noise of the machine only ever slows down.
                speeds.append(max(hadal_json(options.hadal, "encode", "--model", options.tokenizer,
                                             "--file", file.name, "--threads", 1,
                                             "--bench")["mb_per_cpu_s_best"]
                                  for _ in range(options.rounds)))
        ratio = 4 * speeds[0] / speeds[1]
        holds &= ratio <= 5
        print(f"  {name:20} 1 MB {1e3 / speeds[0]:7.2f} ms   4 MB {4e3 / speeds[1]:7.2f} ms   "
              f"{ratio:.2f} times as long", flush=True)
    return holds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hadal", type=pathlib.Path, required=True, help="the hadal binary")
    parser.add_argument("--tokenizer", type=pathlib.Path, default=os.environ.get("HADAL_TOKENIZER"),
                        help="folder with DeepSeek-V3's tokenizer.json ($HADAL_TOKENIZER)")
    parser.add_argument("--cache", type=pathlib.Path, help="folder for fetched packages",
                        default=pathlib.Path.home() / ".cache/hadal/conformance")
    parser.add_argument("--megabytes", type=float, default=52)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default="vectors,ids,trained,speed,scaling")
    options = parser.parse_args()
    if options.tokenizer is None or not (options.tokenizer / "tokenizer.json").exists():
        parser.error("--tokenizer: no tokenizer.json there; give the folder of DeepSeek-V3's")
    options.hadal = options.hadal.resolve()
    options.cache.mkdir(parents=True, exist_ok=True)
    texts = make_texts(options.cache, options.tokenizer / "tokenizer.json", options.megabytes)
    checks = {"vectors": lambda: part_vectors(options), "ids": lambda: part_ids(options, texts),
              "trained": lambda: part_trained(options, texts),
              "speed": lambda: part_speed(options, texts), "scaling": lambda: part_scaling(options)}
    failed = []
    for part in options.parts.split(","):
        print(f"{part}:", flush=True)
        if not checks[part]():
            failed.append(part)
    print("FAILED: " + ", ".join(failed) if failed else "all parts hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
