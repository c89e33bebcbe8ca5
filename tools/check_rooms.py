#!/usr/bin/env python3
"""Checks the room rule: which folder of hadal/ includes which, as docs/rooms.txt allows.

Also: `#if` stands only in kernels/, net/ and core/ (include guards are `#pragma once`),
and a heavy third-party header never stands in one of our headers.
Exit 0 when all holds, 1 with one line per violation.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
IF_ALLOWED = {"kernels", "net", "core"}
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
            if re.match(r"\s*#\s*if", line) and room not in IF_ALLOWED:
                yield f"{name}:{number}: #if outside {', '.join(sorted(IF_ALLOWED))}"
            if path.suffix == ".h" and HEAVY.match(line):
                yield f"{name}:{number}: heavy third-party header in a header"


found = list(violations(read_rules()))
print("\n".join(found) if found else "rooms: every include stays in its place")
sys.exit(1 if found else 0)
