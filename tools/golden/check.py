#!/usr/bin/env python3
"""Recomputes the golden values from the equations and compares them with the stored ones.

    python3 tools/golden/check.py                     every case of tests/golden
    python3 tools/golden/check.py FOLDER ...          a case, or a folder of cases
    python3 tools/golden/check.py --write DIR ...     writes what was computed as DIR/CASE.safetensors

One line per case; exit code 1 if any value disagrees (tolerances: compare.py). Needs numpy.
"""
import argparse
import json
import pathlib
import sys

import checkpoint_case
import op_case
import safetensors
import unit_case
from compare import Disagreement, compare_case

TESTS = pathlib.Path(__file__).resolve().parent.parent.parent / "tests/golden"
KINDS = {"golden": checkpoint_case.compute, "unit": unit_case.compute,
         "ops": op_case.compute}  # by the name of its files


def kind_of(folder):
    return next((kind for kind in KINDS if (folder / f"{kind}.safetensors").exists()), None)


def cases_of(folder):
    """The folder itself, or every case right inside it; other folders hold other tests."""
    cases = [each for each in (folder, *sorted(folder.glob("*/"))) if kind_of(each)]
    if not cases:
        sys.exit(f"{folder}: no golden, unit or ops.safetensors here or one level below")
    return cases


def check(folder, write):
    kind = kind_of(folder)
    stored, dtypes = safetensors.read(folder / f"{kind}.safetensors")
    facts = json.loads((folder / f"{kind}.json").read_text())
    tensors, scalars = KINDS[kind](folder, stored, facts)
    if write:
        computed = {name: tensors[name] for name in stored if name in tensors}
        safetensors.write(write / f"{folder.name}.safetensors", computed, dtypes)
    return compare_case(tensors, scalars, stored, dtypes, facts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", metavar="FOLDER", nargs="*", type=pathlib.Path, default=[TESTS])
    parser.add_argument("--write", metavar="DIR", type=pathlib.Path, help="write the computed tensors")
    options = parser.parse_args()
    if options.write:
        options.write.mkdir(parents=True, exist_ok=True)
    failed = False
    for folder in (case for given in options.folders for case in cases_of(given.resolve())):
        try:
            found = check(folder, options.write)
            print(f"{folder.name:16} {found.n_tensors:4} tensors, {found.n_values:7,} values agree; "
                  f"largest difference {found.largest:.1e} ({found.where})", flush=True)
        except Disagreement as disagreement:
            print(f"{folder.name:16} DISAGREES: {disagreement}", flush=True)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
