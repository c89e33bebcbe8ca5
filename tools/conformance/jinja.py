#!/usr/bin/env python3
"""Holds hadal's Jinja (hadal/jinja) against jinja2, set up as Hugging Face's transformers do.

    apt-get install python3-jinja2
    cmake --build build/release --target render_lines
    python3 tools/conformance/jinja.py --renderer build/release/tests/render_lines [--templates DIR]

Three parts; the exit code is 0 only if all hold, byte for byte:
  snippets    the small templates of tests/golden/jinja/snippets.json
  random      generated templates over a fixed set of variables
  folder      every *.jinja (and the chat_template of every *.json) in --templates over made-up
              conversations: tools, results, thinking, several systems, empty texts, control tokens
Where hadal says that it does not support something, that is counted, not held against it; in a folder
it is. --write renews the expected texts of the snippets.
"""
import argparse
import copy
import json
import pathlib
import random
import subprocess
import sys
import warnings
from datetime import datetime, timezone

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SNIPPETS = ROOT / "tests/golden/jinja/snippets.json"


class Generation(jinja2.ext.Extension):
    """{% generation %}: marks for training; here its body alone."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_body")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, jinja2.ext.loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def strftime_now(pattern):
        return datetime.fromtimestamp(0, timezone.utc).strftime(pattern)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


def oracle(env, case):
    try:
        # A copy: jinja2's indent appends to a list that it is given by mistake.
        variables = copy.deepcopy({**case["variables"], **case.get("literals", {})})
        return {"text": env.from_string(case["template"]).render(**variables)}
    except Exception as error:  # whatever a template does wrong
        return {"error": f"{type(error).__name__}: {error}"}


def ask(renderer, cases):
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run([renderer], input=lines.encode(), stdout=subprocess.PIPE, check=True,
                          env={"TZ": "UTC"})
    return [json.loads(line) for line in done.stdout.decode().split("\n") if line]


def compare(name, renderer, cases, strict):
    env = environment()
    unsupported = errors = 0
    wrong = []
    for case, got in zip(cases, ask(renderer, cases)):
        want = oracle(env, case)
        if "error" in got and not strict and ("not supported" in got["error"] or
                                              "beyond ASCII" in got["error"]):
            unsupported += 1
        elif "error" in want and "error" in got:
            errors += 1
        elif want.get("text") != got.get("text"):
            wrong.append((case, want, got))
    print(f"{name}: {len(cases)} rendered, {errors} refused by both, {unsupported} not supported, "
          f"{len(wrong)} wrong")
    for case, want, got in wrong[:5]:
        print("  template ", repr(case["template"])[:600])
        print("  variables", json.dumps(case["variables"], ensure_ascii=False)[:300])
        print("  jinja2   ", repr(want)[:400])
        print("  hadal    ", repr({k: got[k] for k in got if k != "spans"})[:400])
    return not wrong


# ---- generated templates ----

VARIABLES = {
    "a": 3, "b": -7, "f": 2.5, "yes": True, "no": False, "nothing": None, "s": "Hello, World",
    "t": "  spaced\tout \n", "empty": "", "uni": "naïve 你好 🙂", "quotes": "it's \"so\" \\ \u00a0",
    "words": ["b", "a", "C", "a"], "numbers": [3, 1, 2], "mixed": [1, "x", None, 2.0, True],
    "d": {"k": "v", "n": 1, "items": [1, 2], "deep": {"x": [{"y": "z"}]}},
    "rows": [{"role": "user", "content": "hi", "n": 2}, {"role": "tool", "content": None, "n": 1},
             {"role": "user", "content": ""}],
}
FILTERS = ["length", "upper", "lower", "trim", "string", "list", "first", "last", "tojson", "join",
           "join(', ')", "default('x')", "default('x', true)", "int", "float", "abs", "capitalize",
           "replace('l', 'LL')", "replace('a', '', 1)", "tojson(indent=2)", "sort", "reverse|list",
           "unique|list", "sum", "min", "max", "map('upper')|list", "map(attribute='role')|list",
           "selectattr('role', 'equalto', 'user')|list", "rejectattr('n')|list", "select|list",
           "reject('none')|list", "items|list", "dictsort", "indent(2)", "indent(1, true)", "count",
           "select('string')|join('-')", "selectattr('content', 'none')|list|length",
           "map('string')|list"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "number", "integer", "float",
         "boolean", "true", "false", "odd", "even", "sequence", "divisibleby 2", "in [1, 'x']",
         "equalto 3", "not none", "not string", "eq('a')", "gt 2", "callable"]
METHODS = ["split()", "split(',')", "split('l', 1)", "strip()", "rstrip()", "lstrip(' H')",
           "startswith('He')", "endswith('d')", "upper()", "title()", "replace('o', '0')", "find('o')",
           "count('l')", "splitlines()", "get('k')", "get('none', 'other')", "items()", "keys()|list",
           "values()|list", "index(1)", "partition(',')", "rsplit('o', 1)", "removeprefix('Hello')",
           "join(words)", "rfind('o')", "capitalize()"]
NAMES = list(VARIABLES) + ["missing", "d.k", "d['n']", "d.deep.x[0].y", "rows[0].role", "rows[-1]['role']",
                           "words[1:]", "s[2:5]", "uni[::-1]", "numbers[::2]", "rows[5]", "d.missing",
                           "s[-3:]", "words[:-1]", "t[1]", "numbers[0]"]


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def literal(self):
        return self.r.choice(["0", "1", "-2", "3.5", "1e3", "'x'", '"q\'s"', "'\\n'", "'a\\tb'", "[]", "{}",
                              "[1, 'two', none]", "{'k': 1, 'l': [2]}", "(1, 2)", "(1,)", "true", "none",
                              "'你'", "'<|im_end|>'", "10", "'\\u00e9\\x41'", "'a' 'b'"])

    def expression(self, depth):
        r = self.r
        if depth == 0 or r.random() < 0.15:
            return r.choice(NAMES) if r.random() < 0.75 else self.literal()
        e = lambda: self.expression(depth - 1)
        kind = r.randrange(13)
        if kind == 0:
            return f"{e()} {r.choice(['+', '-', '*', '/', '//', '%', '~', '~', '+'])} {e()}"
        if kind == 1:
            return f"{e()} {r.choice(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in'])} {e()}"
        if kind == 2:
            return f"{e()} {r.choice(['and', 'or'])} {e()}"
        if kind == 3:
            return f"(not {e()})"
        if kind == 4:
            return f"({e()})"
        if kind in (5, 6):
            return f"{e()}|{r.choice(FILTERS)}"
        if kind == 7:
            return f"({e()}).{r.choice(METHODS)}"
        if kind == 8:
            return f"{e()} is {r.choice(TESTS)}"
        if kind == 9:
            return f"{e()} if {e()} else {e()}"
        if kind == 10:
            return f"({r.choice(NAMES)})[{r.choice(['0', '-1', '1:', ':2', '::2', repr('k'), '::-1', '1:-1'])}]"
        if kind == 11:
            return f"-{e()}"
        return f"[{e()}, {e()}]"

    def space(self):
        return self.r.choice(["", "", " ", "\n", "\n  ", "  ", "text", " x\n", "\t", "\n\n"])

    def block(self, words):
        return "{%" + self.r.choice(["-", "", "", "+"]) + " " + words + " " + \
            self.r.choice(["-", "", ""]) + "%}"

    def statement(self, depth):
        r = self.r
        kind = r.randrange(9) if depth > 0 else r.randrange(2)
        e = self.expression(r.randrange(3))
        body = lambda: self.body(depth - 1)
        if kind == 0:
            return "{{" + r.choice(["-", "", ""]) + f" {e} " + r.choice(["-", "", ""]) + "}}"
        if kind == 1:
            return r.choice(["{#- note -#}", "{# note #}", "{# note #}\n", self.space()])
        if kind == 2:
            middle = self.block(f"elif {self.expression(1)}") + body() if r.random() < 0.3 else ""
            other = self.block("else") + body() if r.random() < 0.5 else ""
            return self.block(f"if {e}") + body() + middle + other + self.block("endif")
        if kind == 3:
            names, over = r.choice([("x", r.choice(["words", "numbers", "rows", "s", "missing", "d", "[]",
                                                     "range(3)", e])),
                                    ("x, y", "d.items()"), ("(x, y)", "[(1, 2), (3, 4)]")])
            only = r.choice(["", "", " if x", " if x is string"])
            inside = "{{ x }}{{ loop." + r.choice(["index", "first", "last", "length", "revindex0",
                                                   "previtem", "nextitem", "index0"]) + " }}"
            leave = self.block(f"if loop.index > 1") + self.block(r.choice(["break", "continue"])) + \
                self.block("endif") if r.random() < 0.3 else ""
            other = self.block("else") + body() if r.random() < 0.3 else ""
            return (self.block(f"for {names} in {over}{only}") + self.space() + leave + inside + body() +
                    other + self.block("endfor"))
        if kind == 4:
            name = r.choice(["v", "w", "x"])
            return self.block(f"set {name} = {e}") + self.space() + "{{ " + name + " }}"
        if kind == 5:
            return (self.block("set v" + r.choice(["", "|upper", "|trim|length"])) + body() +
                    self.block("endset") + "[{{ v }}]")
        if kind == 6:
            return (self.block("set ns = namespace(n=0, v=" + e + ")") +
                    self.block("for i in range(3)") + self.block("set ns.n = ns.n + i") +
                    self.block("endfor") + "{{ ns.n }}")
        if kind == 7:
            return self.block("generation") + body() + self.block("endgeneration")
        return self.block("raw") + self.space() + "{{ x }}" + self.block("endraw")

    def body(self, depth):
        return "".join(self.space() + self.statement(depth) for _ in range(self.r.randrange(1, 4))) + \
            self.space()

    def template(self):
        macro = ""
        if self.r.random() < 0.2:
            macro = (self.block("macro m(p, q='dflt')") + "<{{ p }}|{{ q }}>" + self.body(1) +
                     self.block("endmacro") + "{{ m(1) }}{{ m('x', q=2) }}")
        return macro + self.body(2)


# ---- conversations ----

TEXTS = ["", "Hello", " padded \n", "多谢 naïve 🙂", "a\n\nb", "<｜User｜>not me<｜Assistant｜>", "<|im_end|>",
         "<think>hm</think>yes", "</think>", "{{ bos_token }} {% if %}", "it's \"quoted\" \\ back",
         "<｜tool▁calls▁begin｜>", "1234567 tokens\r\nnext", "\u00a0\u2028", "<think>\nlong\n</think>\n\nans"]
TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "Weather in a city é",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"},
                                                    "days": {"type": "integer", "minimum": 1.0}},
                   "required": ["city"]}}},
         {"type": "function", "function": {"name": "f", "parameters": {}}}]


def conversation(r):
    messages = []
    for _ in range(r.choice([0, 0, 1, 1, 2])):
        messages.append({"role": "system", "content": r.choice(TEXTS)})
    for _ in range(r.randrange(0, 6)):
        messages.append({"role": "user", "content": r.choice(TEXTS)})
        for _ in range(r.choice([0, 0, 1, 2])):
            calls = [{"id": f"functions.f:{i}", "type": "function",
                      "function": {"name": "get_weather", "arguments": '{"city": "Z\u00fcrich"}'}}
                     for i in range(r.choice([1, 1, 2, 3]))]
            message = {"role": "assistant", "content": r.choice([None, None, "", *TEXTS]),
                       "tool_calls": calls}
            if r.random() < 0.3:
                message["reasoning_content"] = r.choice(TEXTS)
            messages.append(message)
            for call in calls:
                messages.append({"role": "tool", "content": r.choice(TEXTS), "name": "get_weather",
                                 "tool_call_id": call["id"]})
        if r.random() < 0.8:
            message = {"role": "assistant", "content": r.choice(TEXTS)}
            if r.random() < 0.4:
                message["reasoning_content"] = r.choice(TEXTS)
            if r.random() < 0.1:
                message["prefix"] = True
            messages.append(message)
        if r.random() < 0.1:
            messages.append({"role": "system", "content": r.choice(TEXTS)})
    variables = {"messages": messages, "tools": r.choice([None, None, TOOLS, TOOLS[:1]]),
                 "documents": None, "add_generation_prompt": r.random() < 0.7}
    if r.random() < 0.5:
        variables["thinking"] = r.random() < 0.5
    return variables


def folder_templates(folder):
    for path in sorted(pathlib.Path(folder).iterdir()):
        if path.suffix == ".jinja":
            yield path.name, path.read_text()
        elif path.suffix == ".json":
            stored = json.loads(path.read_text()).get("chat_template")
            for entry in [{"name": "", "template": stored}] if isinstance(stored, str) else stored or []:
                yield f"{path.name} {entry['name']}", entry["template"]


def main():
    warnings.simplefilter("ignore", SyntaxWarning)  # of the Python that jinja2 compiles to
    parser = argparse.ArgumentParser()
    parser.add_argument("--renderer", default="build/release/tests/render_lines")
    parser.add_argument("--templates", help="folder of official templates")
    parser.add_argument("--random", type=int, default=20000, help="generated templates")
    parser.add_argument("--conversations", type=int, default=2000, help="for each template of the folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    o = parser.parse_args()
    snippets = json.loads(SNIPPETS.read_text())
    cases = [{"template": t["template"], "variables": {**snippets["variables"]}}
             for t in snippets["templates"]]
    if o.write:
        env = environment()
        for snippet, case in zip(snippets["templates"], cases):
            want = oracle(env, case)
            snippet.pop("text", None)
            snippet.pop("refused", None)
            snippet.update({"text": want["text"]} if "text" in want else {"refused": True})
        SNIPPETS.write_text(json.dumps(snippets, ensure_ascii=False, indent=1) + "\n")
    holds = compare("snippets", o.renderer, cases, strict=True)
    generator = Generator(o.seed)
    made = [{"template": generator.template(), "variables": VARIABLES} for _ in range(o.random)]
    holds &= compare("random", o.renderer, made, strict=False)
    if o.templates:
        for name, text in folder_templates(o.templates):
            r = random.Random(o.seed)
            literals = {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"}
            told = [{"template": text, "variables": conversation(r), "literals": literals}
                    for _ in range(o.conversations)]
            holds &= compare(name, o.renderer, told, strict=True)
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
