#!/usr/bin/env python3
"""What drafts are worth, apart for each kind of text: how many are kept, and how fast it gets.

    bench/speculation.py HADAL MODEL PROMPTS.json [--tokens 128] [--temperature 0] [--only off,auto] ...

PROMPTS.json names kinds of text and their prompts: {"raw": ["..."], "chat": [...], "edited": [...]}.
Every prompt is continued without drafts, with one draft a step from the MTP module, with three, with
four of n-grams, and as `auto` chooses; settings take turns, since a shared machine's speed drifts. All
must write the same tokens, sampled ones too. Printed per kind: tokens/s of writing, the median [least,
most] of the prompts' ratios to `off`, drafts kept of those made by each source, tokens per step. Small
models repeat themselves when they write greedily, which flatters n-grams: give a temperature.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

SETTINGS = {
    "off": ["--speculate", "off"],
    "mtp 1": ["--speculate", "1", "--draft", "mtp"],
    "mtp 3": ["--speculate", "3", "--draft", "mtp"],
    "ngram 4": ["--speculate", "4", "--draft", "ngram"],
    "auto": ["--speculate", "auto"],
}


def write(args, prompt_file, setting):
    command = [args.hadal, "generate", "--model", args.model, "--prompt-file", prompt_file,
               "--max-tokens", str(args.tokens), "--temperature", str(args.temperature),
               "--seed", "1", "--ignore-eos", "--quiet", "--json",
               "--threads", str(args.threads), *SETTINGS[setting]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    return json.loads(done.stdout)


def measure(args, prompts):
    """Per setting: (seconds of each prompt's fastest round, its result)."""
    best = {setting: [] for setting in args.only}
    for prompt in prompts:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.write(prompt)
            file.flush()
            runs = [{s: write(args, file.name, s) for s in best} for _ in range(args.rounds)]
        for setting in best:
            results = [run[setting] for run in runs]
            if any(r["tokens"] != runs[0]["off"]["tokens"] for r in results):
                sys.exit(f"{setting}: other tokens than without drafts")
            fastest = max(results, key=lambda r: r["decode_tokens_per_s"])
            best[setting].append((len(fastest["tokens"]) / fastest["decode_tokens_per_s"], fastest))
    return best


def kept(results, source):
    drafted = sum(r[source]["drafted"] for r in results)
    accepted = sum(r[source]["accepted"] for r in results)
    return f"{accepted} of {drafted} ({100 * accepted / drafted:.0f} %)" if drafted else "-"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hadal")
    parser.add_argument("model")
    parser.add_argument("prompts")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--temperature", type=float, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(SETTINGS))
    args = parser.parse_args()
    if args.only[0] != "off" or not set(args.only) <= set(SETTINGS):
        parser.error(f"--only: off, and then some of {', '.join(list(SETTINGS)[1:])}")
    with open(args.prompts, encoding="utf-8") as file:
        kinds = json.load(file)
    print("| text | drafts | tok/s | times off | kept, MTP | kept, n-grams | tokens per step |")
    print("|---|---|---|---|---|---|---|")
    for kind, prompts in kinds.items():
        best = measure(args, prompts)
        off = [seconds for seconds, _ in best["off"]]
        for setting, rows in best.items():
            results = [result for _, result in rows]
            tokens = sum(len(r["tokens"]) for r in results)
            ratios = [a / b for a, (b, _) in zip(off, rows)]
            steps = statistics.mean(r["accepted_tokens_per_step"] for r in results)
            print(f"| {kind} | {setting} | {tokens / sum(s for s, _ in rows):.0f} "
                  f"| {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}] "
                  f"| {kept(results, 'mtp')} | {kept(results, 'ngram')} | {steps:.2f} |", flush=True)


main()
