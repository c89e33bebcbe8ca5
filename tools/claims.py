#!/usr/bin/env python3
"""Walks docs/claims.md: runs each claim's command and compares what it prints.

  tools/claims.py [--all] [--only WORD] [--list]

Exit 0 when every claim that was run holds. Commands run in the repository's root with `hadal` of
build/release on the PATH and $OUT, a temporary folder. A claim marked "slow" is left out without --all.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| (?P<claim>.+?) \| `(?P<command>.+?)` \| (?:`(?P<output>.*)`)? ?\|$")


def claims():
    for number, line in enumerate((ROOT / "docs/claims.md").read_text().splitlines(), 1):
        if not line.startswith("| ") or line.startswith("| claim |"):
            continue
        row = ROW.match(line)
        if not row:
            sys.exit(f"docs/claims.md: line {number}: not a row of claim, command and output")
        yield row["claim"], row["command"], row["output"] or ""


def problem_of(command, output, environment):
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, errors="replace")
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        return f"exit code {done.returncode}: {' '.join(last)[:200]}"
    if output and not re.search(output, done.stdout):
        return f"output has no match of {output}"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="the slow ones, too")
    parser.add_argument("--only", default="", metavar="WORD", help="claims with this word")
    parser.add_argument("--list", action="store_true", help="name them, run none")
    options = parser.parse_args()
    if not (ROOT / "build/release/hadal/hadal").exists() and not options.list:
        sys.exit("build/release/hadal/hadal: no such program; build it with ./check")
    failed = run = 0
    with tempfile.TemporaryDirectory() as out:
        environment = dict(os.environ, OUT=out,
                           PATH=f"{ROOT}/build/release/hadal:{os.environ['PATH']}")
        for claim, command, output in claims():
            slow = "(slow" in claim and not options.all
            if options.only.lower() not in (claim + command).lower():
                continue
            if slow or options.list:
                print(f"  --   {claim}", "" if slow else f"\n       {command}", sep="")
                continue
            start = time.monotonic()
            problem = problem_of(command, output, environment)
            run += 1
            failed += bool(problem)
            print(f"{'FAIL' if problem else '  ok'} {time.monotonic() - start:5.1f} s  {claim}", flush=True)
            if problem:
                print(f"       {command}\n       {problem}", flush=True)
    if run == 0 and not options.list:
        sys.exit("no claim was run: none has this word, or all that have it are slow (--all)")
    if not options.list:
        print(f"{run - failed} of {run} claims hold")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
