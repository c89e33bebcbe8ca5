#!/usr/bin/env python3
"""Writes hadal/data/tokenizer_unicode_tables.inc: one class byte per run of code points.

The Unicode version must be that of the Oniguruma inside Hugging Face's `tokenizers` (16.0, checked
code point by code point by tools/conformance/tokenizer.py): the general categories of its regular
expressions decide where a text is cut. Python brings its own version, so the tables come from the
module `unicodedata2` when Python's differs:

    pip install unicodedata2==16.0.0 && python3 tools/make_unicode_tables.py
"""
import pathlib
import sys
import unicodedata

UNICODE_VERSION = "16.0.0"
if unicodedata.unidata_version != UNICODE_VERSION:
    try:
        import unicodedata2 as unicodedata
    except ImportError:
        pass
if unicodedata.unidata_version != UNICODE_VERSION:
    sys.exit(f"make_unicode_tables.py: Unicode {UNICODE_VERSION} is needed (found "
             f"{unicodedata.unidata_version}); pip install unicodedata2=={UNICODE_VERSION}")

# The bits of hadal/data/tokenizer_unicode.h.
BITS = {"L": 1, "M": 2, "N": 4, "P": 8, "S": 16}
SPACE = 32
WHITE_SPACE = {*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
               0x202F, 0x205F, 0x3000}


def class_of(code_point):
    category = unicodedata.category(chr(code_point))[0]
    return BITS.get(category, 0) | (SPACE if code_point in WHITE_SPACE else 0)


runs, last = [], None
for code_point in range(0x110000):
    value = class_of(code_point)
    if value != last:
        runs.append(f"0x{code_point << 8 | value:x}")
        last = value

lines, line = [], ""
for run in runs:
    if len(line) + len(run) + 2 > 100:
        lines.append(line)
        line = ""
    line += (" " if line else "") + run + ","
lines.append(line)
out = pathlib.Path(__file__).resolve().parent.parent / "hadal/data/tokenizer_unicode_tables.inc"
out.write_text(f"// Written by tools/make_unicode_tables.py from Unicode {UNICODE_VERSION}: {len(runs)} runs, "
               "first code point << 8 | class.\n" + "\n".join(lines) + "\n")
print(f"{out.name}: {len(runs)} runs")
