#!/usr/bin/env python3
"""Checks that what comments and pages point to is in the repository.

Read are the comments of hadal/, tests/, bench/, fuzz/ and tools/, and the pages of the root, docs/, tests/ and bench/. docs/log.md tells of the past and may name what is gone.
  - A path from the root (`docs/plan.md`, `hadal/nn/mla.h`) names a file or folder; one that begins with a
    room (`nn/mla.h`) or with a folder of tests/ (`support/compare.h`) a file there.
  - A page named alone (plan.md) is one of the repository's.
  - `docs/plan.md, "Work per token"` names a heading of that page, and so does a link between pages.
  - Nobody cites a text that a reader of the repository does not have.
Exit 0 when all holds, 1 with one line per violation.
"""
import io
import pathlib
import re
import sys
import tokenize

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOP = ["docs", "hadal", "tests", "tools", "bench", "fuzz", "cmake", "examples"]
UNDER = ["hadal", "tests", "hadal/kernels", "hadal/kernels/reference"]
ROOMS = sorted({p.name for top in UNDER for p in (ROOT / top).iterdir() if p.is_dir()})
# Ends behind a word character, so that the dot of a sentence and the star of a pattern stay out.
FROM_TOP = re.compile(rf"(?<![\w./~<>-])(?:{'|'.join(TOP)})/(?:[\w.-]+/)*[\w.-]*\w(?![\w*<{{])/?")
FROM_ROOM = re.compile(rf"(?<![\w./~<>-])(?:{'|'.join(ROOMS)})/(?:\w+/)*\w+\.(?:h|cc|cu|inc|md|py|html)\b")
PAGE = re.compile(r"(?<![\w./<>*-])[\w-]+\.md\b")  # a page by its name alone
YOURS = re.compile(r"(?:\b|_)NAME(?:\b|_)")  # ops/NAME.h: a file that a reader will add
CITED = re.compile(r'(docs/[\w/.-]+\.md)((?:,? (?:and )?"[^"\n]+")+)')
LINKED = re.compile(r"\]\(([\w/.-]*)(?:#([\w-]+))?\)")
PAGES = {path.name for top in [".", *TOP] for path in (ROOT / top).glob("**/*.md" if top != "." else "*.md")}
PRIVATE = "spec " + "0"  # written apart, or this file would refuse itself
# What looks like a path of the repository and is none, and why.
NOT_KEPT = {
    "bench/gemm_bench": "a program in the build folder",
    "kernels/x.h": "the same",
    "ops/x.cc": "the same",
}

# Every one of these must be refused, so that nobody loosens an expression without noticing.
PLANTED = ["see docs/no_page.md.", "no_page.md says", "as in nn/no_layer.h", "`hadal/nn/no_layer.h`", "(tests/support/none.cc)",
           'docs/plan.md, "No such heading"', "as " + PRIVATE + "1 says", "[a](no_page.md)", "[a](plan.md#none)"]


not_kept_seen = set()


def comments(path):
    """(line number, text) of a file's comments; comment lines that follow each other are one text."""
    text = path.read_text()
    if path.suffix in {".sh", ".txt", ".cmake"}:
        found = [(n, line.strip()[1:]) for n, line in enumerate(text.splitlines(), 1) if line.strip()[:1] == "#"]
    elif path.suffix == ".py":
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        found = [(t.start[0], t.string.lstrip("#")) for t in tokens if t.type == tokenize.COMMENT]
        docs = [t for t in tokens if t.type == tokenize.STRING and t.string.startswith('"""')]
        found += [(t.start[0] + n, line) for t in docs for n, line in enumerate(t.string.splitlines())]
    else:
        found = []
        for n, line in enumerate(text.splitlines(), 1):
            code = re.sub(r'"(\\.|[^"\\])*"', lambda s: " " * len(s[0]), line)
            at = code.find("//")
            if at >= 0:
                found.append((n, line[at + 2 :]))
    return found


def texts(lines):
    """Joins lines that follow each other, since a citation may go over the end of one."""
    lines = sorted(lines)
    while lines:
        n = 1
        while n < len(lines) and lines[n][0] == lines[n - 1][0] + 1:
            n += 1
        yield lines[:n]
        lines = lines[n:]


def headings(page):
    return re.findall(r"^#+ (.+)$", page.read_text(), re.M)


def anchor(heading):
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def problems(text, page=None):
    """(position in `text`, message); page: the file whose links are relative to it."""
    for expression, folders in [(FROM_TOP, [""]), (FROM_ROOM, ["", *UNDER])]:
        for match in expression.finditer(text):
            if YOURS.search(match[0]) or any((ROOT / folder / match[0]).exists() for folder in folders):
                continue
            if match[0] in NOT_KEPT:
                not_kept_seen.add(match[0])
            else:
                yield match.start(), f"no {match[0]} in the repository"
    for match in PAGE.finditer(text):
        if match[0] not in PAGES:
            yield match.start(), f"no page {match[0]} in the repository"
    for match in CITED.finditer(text):
        cited = ROOT / match[1]
        for heading in re.findall(r'"([^"]+)"', match[2]):
            if cited.exists() and heading not in headings(cited):
                yield match.start(), f'{match[1]} has no heading "{heading}"'
    if PRIVATE in text.lower():
        yield text.lower().index(PRIVATE), "cites a text that is not in the repository"
    for match in LINKED.finditer(text) if page else ():
        linked = page.parent / match[1] if match[1] else page
        if not linked.exists():
            yield match.start(), f"no {match[1]} beside {page.name}"
        elif match[2] and match[2] not in map(anchor, headings(linked)):
            yield match.start(), f"{linked.name} has no heading #{match[2]}"


def violations():
    files = [(path, None) for top in ["hadal", "tests", "bench", "fuzz", "tools"]
             for path in sorted((ROOT / top).rglob("*"))
             if path.suffix in {".h", ".cc", ".cu", ".cuh", ".py", ".sh", ".cmake"} or path.name == "CMakeLists.txt"]
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "tests").rglob("*.md")),
             *sorted((ROOT / "bench").rglob("*.md"))]
    files += [(page, page) for page in pages if page.name != "log.md"]
    for path, page in files:
        lines = list(enumerate(path.read_text().splitlines(), 1)) if page else comments(path)
        for block in texts(lines):
            text, ends = "", []
            for number, line in block:
                text += line.strip() + " "
                ends.append((len(text), number))
            for at, message in problems(text, page):
                number = next(number for end, number in ends if at < end)
                yield f"{path.relative_to(ROOT)}:{number}: {message}"
    for path in sorted(NOT_KEPT.keys() - not_kept_seen):
        yield f"tools/check_paths.py: nobody names {path} any more; drop it from the list"


missed = [f"tools/check_paths.py: does not see {text!r}" for text in PLANTED
          if not list(problems(text, ROOT / "docs/plan.md"))]
found = missed + list(violations())
print("\n".join(found) if found else "paths: everything that comments and pages point to is there")
sys.exit(1 if found else 0)
