#!/usr/bin/env python3
"""Checks the room rule: which folder of hadal/ includes which, as docs/rooms.txt allows.

Also: the library does not speak the command line's language: a string with an option in it ("--top-p") stands
only in cli/ (core/error.h says how an error names a setting). `#if` stands only in kernels/, net/ and core/ (include guards are `#pragma once`),
and a heavy third-party header never stands in one of our headers.
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
]
HEAVY = re.compile(r'#include <(nlohmann|CLI|toml\+\+|boost|spdlog|simdjson|fmt|muParser)')


def read_rules():
    rules = {}
    for line in (ROOT / "docs/rooms.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            room, allowed = line.split(":")
            rules[room.strip()] = set(allowed.split())
    return rules


def violations(rules):
    for path in sorted((ROOT / "hadal").rglob("*")):
        if path.suffix not in {".h", ".cc", ".cu", ".cuh"}:
            continue
        name = path.relative_to(ROOT)
        room = path.relative_to(ROOT / "hadal").parts[0]
        if room not in rules:
            yield f"{name}: room {room} is not in docs/rooms.txt"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            included = re.match(r'\s*#include "hadal/(([a-z_]+)/[^"]+)"', line)
            if included and included[2] != room and not rules[room] & {included[1], included[2]}:
                yield f"{name}:{number}: {room}/ may not include {included[1]}"
            code = line.split("//")[0]
            if room != "cli" and OPTION.search(code) and not any(a in code for a in OPTION_ALLOWED):
                yield f"{name}:{number}: an option in a string; name the setting"
            if re.match(r"\s*#\s*if", line) and room not in IF_ALLOWED:
                yield f"{name}:{number}: #if outside {', '.join(sorted(IF_ALLOWED))}"
            if path.suffix == ".h" and HEAVY.match(line):
                yield f"{name}:{number}: heavy third-party header in a header"


found = list(violations(read_rules()))
print("\n".join(found) if found else "rooms: every include stays in its place")
sys.exit(1 if found else 0)
