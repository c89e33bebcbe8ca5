#!/usr/bin/env python3
"""Checks the room rule: which folder of hadal/ includes which, as docs/rooms.txt allows.

Also: the library does not speak the command line's language: a string with an option in it ("--top-p") stands
only in command/ and cli/ (core/error.h says how an error names a setting). `#if` stands only in kernels/, net/ and core/ (include guards are `#pragma once`),
and a heavy third-party header never stands in one of our headers.
Loops over the elements or rows of tensors stand only in ops/ and kernels/, where every device has
its own: see tensor_loops().
Exit 0 when all holds, 1 with one line per violation.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
IF_ALLOWED = {"kernels", "net", "core"}
OPTION = re.compile(r'"[^"]*--[a-z]')
# What looks like an option of hadal and is none, and whole commands to type.
OPTION_ALLOWED = [
    '"--info"',  # of dpkg-deb, which fetch_corpus runs
    "cmake --preset",  # how to build what is missing
    "`hadal inspect --verify`",  # the command that finds a damaged file
    "--set train.max_seconds=0 --set train.tokens=N",  # a note: how to train on
    "(all: --json, --svg)",  # in the tables of `hadal plan experts`
    # of git, which git_text.cc runs
    '"clone", "--quiet"', '"--output="', '"--is-ancestor"', '"--name-only"', '"--reverse"', '"--no-ext-diff"', '"--format=%H"', '"--verify", "HEAD"',
]
HEAVY = re.compile(r'#include <(nlohmann|CLI|toml\+\+|boost|spdlog|simdjson|fmt|muParser)')

# Rooms that hand out work to threads themselves, and rooms that compute with tensors through ops.
THREADS_ALLOWED = {"core", "ops", "kernels", "data", "measure", "corpus"}
THROUGH_OPS = {"nn", "model", "infer", "optim", "train", "parallel"}
THREADS = re.compile(r"\bparallel_(for|tasks)\(")
ELEMENTS = r"(\bflat<|\b(mat|vec|raw)\(\)|\brow\(|\bview<)"  # what reaches into a tensor
BULK = re.compile(r"\bmem(cpy|move|set)\(|\bstd::(ranges::)?(copy|copy_n|fill|fill_n|transform)\(")
NAMED = re.compile(r"(\w+) = [^;{}]*" + ELEMENTS + r"[^;{}]*;")  # a name for a tensor's elements
# (how the path begins, what the line says): why the loop may stand there.
LOOPS_ALLOWED = {
    ("model/stored_weight.cc", ": scales.flat<"): "checks a file's scales as they are read",
    ("model/stored_weight.cc", "codes[i]"): "widens a file's exponents as they are found",
    ("model/read_weights.cc", "parallel_for("): "asks for pages of files, touches no element",
    ("model/inspect.cc", "values[i]"): "scans a file in its own formats, F64 too, which no op has",
    ("model/inspect.cc", "parallel_for("): "the same",
    ("model/convert.cc", ": values.flat<float>()"): "checks a file's values as they are read",
    ("model/head.cc", ": on_host.flat<float>()"): "one loss a token, summed in order",
    ("infer/score.cc", ": on_host.flat<float>()"): "one loss a token, on its way to the report",
    ("infer/", "row(n_new)"): "rows of logits: the sampler works on the host",
    ("infer/speculative.cc", "logits.mat().row("): "the same",
    ("train/evaluate.cc", ": on_host.flat<float>()"): "one loss a token, summed in order",
    ("optim/trainable.cc", "parallel_tasks("): "whole tensors to threads; the loops are in ops",
}

# Every one of these must be refused, so that nobody loosens an expression without noticing.
PLANTED = [
    "pool.parallel_for(n, 1, body);",
    "for (int64_t t = 0; t < n; ++t) {\n  use(x.mat().row(t));\n}",
    "for (int64_t t = 0; t < n; ++t) use(x.row(t));",
    "for (const float value : x.flat<float>()) sum += value;",
    "const auto v = x.flat<float>();\nfor (size_t i = 0; i < n; ++i) v[i] = 0;",
    "auto m = x.mat();\nwhile (t < n) {\n  sum += m(t, 0);\n}",
    "std::memcpy(y.raw(), x.raw(), n);",
    "std::ranges::copy(rows,\n                  y.flat<float>().begin());",
]


def read_rules():
    rules = {}
    for line in (ROOT / "docs/rooms.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            room, allowed = line.split(":")
            rules[room.strip()] = set(allowed.split())
    return rules


def tensor_loops(room, text):
    """Loops over elements or rows where they do not belong, as (line number, line, message).

    Regular expressions cannot see types. They refuse: threads; copies and fills of a tensor's
    memory; a `for` over it; and in the body of a `for`, a row of it or an element by a name that
    the file gave it. The code is formatted, so a loop's body is what stands deeper than its `for`.
    """
    code = [line.split("//")[0].rstrip() for line in text.splitlines()]
    names = "|".join({match[1] for match in NAMED.finditer("\n".join(code))}) or "(?!)"
    one = re.compile(rf"\brow\(|\b({names})[\[(]")
    whole = re.compile(rf"{ELEMENTS}|^({names})$")
    depths = []  # of the loops around this line
    for number, line in enumerate(code, 1):
        depth = len(line) - len(line.lstrip())
        if line:
            depths = [outer for outer in depths if outer < depth]
        header, body = "", line
        if loop := re.search(r"\b(for|while) \(", line):
            depths.append(depth)
            header = up_to_closing(" ".join([line[loop.end() :], *code[number : number + 2]]))
            body = line[loop.end() + len(header) :]
        ranged = "" if ";" in header else header.partition(" : ")[2]
        statement = " ".join(code[number - 1 : number + 3]).split(";")[0]
        if THREADS.search(line) and room not in THREADS_ALLOWED:
            yield number, line, "hands work to threads; make it an op"
        elif room not in THROUGH_OPS:
            continue
        elif BULK.search(line) and re.search(ELEMENTS, statement):
            yield number, line, "copies or fills a tensor; ops/copy.h and ops/elementwise.h do that"
        elif (ranged and whole.search(ranged)) or (depths and one.search(body)):
            yield number, line, "loops over a tensor; make it an op"


def up_to_closing(text):
    """What stands between an opening parenthesis, already read, and its closing one."""
    open_ones = 1
    for at, letter in enumerate(text):
        open_ones += {"(": 1, ")": -1}.get(letter, 0)
        if open_ones == 0:
            return text[:at]
    return text


def violations(rules):
    allowed_seen = set()
    for path in sorted((ROOT / "hadal").rglob("*")):
        if path.suffix not in {".h", ".cc", ".cu", ".cuh"}:
            continue
        name = path.relative_to(ROOT)
        room = path.relative_to(ROOT / "hadal").parts[0]
        if room not in rules:
            yield f"{name}: room {room} is not in docs/rooms.txt"
            continue
        for number, line, message in tensor_loops(room, path.read_text()):
            allowed = {key for key in LOOPS_ALLOWED
                       if str(name).startswith(f"hadal/{key[0]}") and key[1] in line}
            allowed_seen |= allowed
            if not allowed:
                yield f"{name}:{number}: {message}"
        for number, line in enumerate(path.read_text().splitlines(), 1):
            included = re.match(r'\s*#include "hadal/(([a-z_]+)/[^"]+)"', line)
            if included and included[2] != room and not rules[room] & {included[1], included[2]}:
                yield f"{name}:{number}: {room}/ may not include {included[1]}"
            code = line.split("//")[0]
            if room not in {"command", "cli"} and OPTION.search(code) and not any(a in code for a in OPTION_ALLOWED):
                yield f"{name}:{number}: an option in a string; name the setting"
            if re.match(r"\s*#\s*if", line) and room not in IF_ALLOWED:
                yield f"{name}:{number}: #if outside {', '.join(sorted(IF_ALLOWED))}"
            if path.suffix == ".h" and HEAVY.match(line):
                yield f"{name}:{number}: heavy third-party header in a header"
    for file, line in sorted(LOOPS_ALLOWED.keys() - allowed_seen):
        yield f"tools/check_rooms.py: {file} has no loop {line!r} any more; drop it from the list"


missed = [f"tools/check_rooms.py: does not see {loop!r}" for loop in PLANTED if not list(tensor_loops("nn", loop))]
found = missed + list(violations(read_rules()))
print("\n".join(found) if found else "rooms: every include and every loop stays in its place")
sys.exit(1 if found else 0)
