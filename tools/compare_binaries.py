#!/usr/bin/env python3
"""Holds two builds of hadal to the same results, byte for byte: what a reshaping must not change.

  tools/compare_binaries.py OLD NEW [--golden FOLDER] [--data PATH] [--steps N] [--only NAME ...]

Both binaries run every case with the same inputs: dumps of the golden checkpoints, training of the
small presets on one and two threads (losses, checkpoints and optimizer state), generation greedy and
sampled with and without speculation, scores, plans and pipelines. Times and paths are left out of the
comparison. Exit 0 when everything is equal; differing tensors are listed with the size of the
difference. Files of a case stay in a temporary folder only while it runs.
"""
import argparse
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

import array

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIMING = re.compile(r"tok_s|tokens_per_s|seconds|rss|\"ts\"|elapsed")


def run(binary, *arguments, cwd):
    done = subprocess.run([binary, *map(str, arguments)], cwd=cwd, capture_output=True, text=True)
    return f"exit {done.returncode}\n{done.stdout}\n{done.stderr}".replace(str(cwd), "FOLDER")


def tensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    for name, info in sorted(header.items()):
        if name != "__metadata__":
            begin, end = info["data_offsets"]
            yield name, info["dtype"], data[8 + size + begin : 8 + size + end]


def difference(dtype, a, b):
    if dtype != "F32":
        return f"{sum(x != y for x, y in zip(a, b))} bytes differ"
    x, y = array.array("f", a), array.array("f", b)
    largest = max((abs(v) for v in x), default=0.0)
    worst = max((abs(v - w) for v, w in zip(x, y)), default=0.0)
    return f"largest difference {worst:.3g}, largest value {largest:.3g}"


def compare_tensors(name, old, new):
    before, after = {n: (t, d) for n, t, d in tensors(old)}, {n: (t, d) for n, t, d in tensors(new)}
    if before.keys() != after.keys():
        yield f"{name}: other tensors: {sorted(before.keys() ^ after.keys())[:5]}"
    differing = [n for n in before if n in after and before[n] != after[n]]
    for tensor in differing[:5]:
        yield f"{name}: {tensor}: {difference(before[tensor][0], before[tensor][1], after[tensor][1])}"
    if len(differing) > 5:
        yield f"{name}: {len(differing)} of {len(before)} tensors differ"


def without_timing(text):
    """JSON lines lose keys that hold times; other lines that speak of times go."""
    lines = []
    for line in text.splitlines():
        try:
            record = json.loads(line)
            record = {k: v for k, v in record.items() if not TIMING.search(f'"{k}"')}
            lines.append(json.dumps(record, sort_keys=True))
        except (ValueError, AttributeError):
            if not TIMING.search(line):
                lines.append(line)
    return "\n".join(lines)


def compare_text(name, old, new):
    old, new = without_timing(old), without_timing(new)
    if old == new:
        return
    for i, (a, b) in enumerate(zip(old.splitlines() + ["(end)"], new.splitlines() + ["(end)"])):
        if a != b:
            yield f"{name}: line {i + 1}:\n    old {a[:300]}\n    new {b[:300]}"
            return
    yield f"{name}: other length"


class Cases:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.places = {}
        for side in ("old", "new"):
            self.places[side] = folder / side
            self.places[side].mkdir()

    def both(self, *arguments):
        return [
            run(binary, *arguments, cwd=self.places[side])
            for side, binary in (("old", self.options.old), ("new", self.options.new))
        ]

    def same_text(self, name, *arguments):
        yield from compare_text(name, *self.both(*arguments))

    def same_file(self, name, file):
        old, new = self.places["old"] / file, self.places["new"] / file
        if not old.exists() or not new.exists():
            yield f"{name}: missing: {file} (old {old.exists()}, new {new.exists()})"
        elif file.endswith(".safetensors"):
            yield from compare_tensors(name, old, new)
        elif old.suffix == ".jsonl":
            yield from compare_text(name, old.read_text(), new.read_text())
        elif old.read_bytes() != new.read_bytes():
            yield f"{name}: {file} differs"

    def golden(self):
        if not self.options.golden:
            return
        for case in sorted(p for p in pathlib.Path(self.options.golden).iterdir() if (p / "config.json").exists()):
            facts = json.loads((case / "golden.json").read_text())
            lists = [p["ids"] for p in facts["prefill"]]
            batch = facts["train"]["batches"][0] if "batches" in facts.get("train", {}) else lists[-1:]
            longest = [ids for ids in lists if len(ids) == max(map(len, lists))]
            for side in self.places.values():
                (side / "lists.json").write_text(json.dumps(lists))
                (side / "batch.json").write_text(json.dumps(longest))
            variants = [["--dtype", "f32"], ["--dtype", "native"], ["--mtp-hidden", "pre-norm"], ["--threads", "2"]]
            if "quantization_config" in json.loads((case / "config.json").read_text()):
                variants.append(["--fp8-activations"])
            for flags in variants:
                name = f"dump {case.name} {' '.join(flags)}"
                yield from self.same_text(
                    name, "dump", "--model", case, "--tokens", "lists.json", "--what",
                    "logits,hidden,routing,mtp", "--out", "dump.safetensors", *flags)
                yield from self.same_file(name, "dump.safetensors")
            yield from self.same_text(
                f"gradients {case.name}", "dump", "--model", case, "--tokens", "batch.json", "--what",
                "loss,gradients", "--out", "gradients.safetensors")
            yield from self.same_file(f"gradients {case.name}", "gradients.safetensors")
            ids = ",".join(map(str, facts["greedy"]["prompt"])) if "greedy" in facts else "1,2,3"
            for flags in (["--temperature", "0"], ["--temperature", "1", "--seed", "7"]):
                yield from self.same_text(
                    f"generate {case.name} {' '.join(flags)}", "generate", "--model", case,
                    "--prompt-tokens", ids, "--max-tokens", "24", "--quiet", "--json", *flags)

    def training(self):
        for preset in ("tiny", "nano", "small"):
            for threads in (1, 2):
                name = f"train {preset} on {threads}"
                out = f"{preset}-{threads}"
                yield from self.same_text(
                    name, "train", "--quiet", "--threads", threads, "--out", out,
                    "--set", f'model.preset="{preset}"', "--set", f'data.paths=["{self.options.data}"]',
                    "--set", f"train.steps={self.options.steps}", "--set", "train.seq_len=96",
                    "--set", "train.batch_sequences=2", "--set", "optimizer.warmup_steps=10",
                    "--set", "eval.sequences=4", "--set", "eval.every_steps=50")
                yield from self.same_file(name, f"{out}/metrics.jsonl")
                for file in ("model", "training_state"):
                    yield from self.same_file(name, f"{out}/latest/{file}.safetensors")

    def generation(self):
        for preset in ("tiny", "nano"):
            model = f"{preset}-1/latest"
            for threads in (1, 2):
                for speculate in ("off", "1", "4"):
                    for sampling in (["--temperature", "0"], ["--temperature", "0.9", "--top-p", "0.9", "--seed", "3"]):
                        yield from self.same_text(
                            f"generate {preset} threads {threads} speculate {speculate} {' '.join(sampling)}",
                            "generate", "--model", model, "--prompt", "The command returns", "--max-tokens",
                            "60", "--threads", threads, "--speculate", speculate, "--json", "--quiet", *sampling)
            for side in self.places.values():
                (side / "text.txt").write_text((ROOT / "README.md").read_text()[:6000])
            yield from self.same_text(f"score {preset}", "score", "--model", model, "--file", "text.txt", "--json", "--quiet")

    def plans(self):
        for arguments in (
            ["presets"], ["presets", "--json"], ["plan", "--model", "deepseek-v3"],
            ["plan", "--model", "deepseek-v3", "--json"], ["plan", "--model", "deepseek-v2", "--explain", "all"],
            ["plan", "experts", "--model", "deepseek-v3", "--zipf", "1.0"],
            ["pipeline", "--schedule", "dualpipe", "--stages", "8", "--micro-batches", "20"],
            ["pipeline", "--compare", "--stages", "8", "--micro-batches", "20"],
            ["pipeline", "--schedule", "zb1p", "--stages", "4", "--micro-batches", "8", "--svg", "p.svg"],
            ["plan", "scaling", "--model", "deepseek-v3", "--quiet"], ["inspect", "deepseek-v3"], ["config", "show"],
        ):
            yield from self.same_text(" ".join(arguments), *arguments)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--golden", help="folder of golden cases")
    parser.add_argument("--data", default=str(ROOT / "docs"), help="text to train on")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--only", nargs="*", default=["golden", "training", "generation", "plans"])
    options = parser.parse_args()
    options.old, options.new = (str(pathlib.Path(p).resolve()) for p in (options.old, options.new))
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        cases = Cases(options, pathlib.Path(folder))
        for group in options.only:
            before = found
            for line in getattr(cases, group)():
                found += 1
                print(line, flush=True)
            print(f"{group}: {'equal' if found == before else f'{found - before} differences'}", flush=True)
    return 1 if found else 0


sys.exit(main())
