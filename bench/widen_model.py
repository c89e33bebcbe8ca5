#!/usr/bin/env python3
"""A small trained model in the bytes of a large one: what it writes stays, what a token reads grows.

    bench/widen_model.py FOLDER WIDER [--layers 4]          # Python with numpy

Speculation pays where reading weights takes the time, and a model small enough to be trained in minutes
lives in the caches. So its weights (BF16, no query latent, no YaRN) are put into matrices 16 times
as wide, heads 4 times, with zeros around them, and `--layers` copies of its layers with experts are
added whose last products are zero: they read, choose experts and add nothing. All factors are powers of
two, so nothing is rounded anew: norms see a 16th of the mean square (eps is divided by 16, their
weights by 4), the softmax scale halves (queries are doubled), and a rotated pair keeps its frequency at
a place four times as far.
"""

import argparse
import json
import pathlib
import re
import shutil
import struct

import numpy as np

WIDE, HEAD = 16, 4
TYPES = {"BF16": np.uint16, "F32": np.float32}


def read(folder):
    tensors = {}
    data = np.memmap(folder / "model.safetensors", np.uint8, "r")
    size = struct.unpack("<Q", data[:8].tobytes())[0]
    for name, info in json.loads(data[8 : 8 + size].tobytes()).items():
        if name != "__metadata__":
            begin, end = (8 + size + at for at in info["data_offsets"])
            values = np.frombuffer(data[begin:end].tobytes(), TYPES[info["dtype"]])
            tensors[name] = values.reshape(info["shape"])
    return tensors


def times(values, power):
    """BF16 bits times 2^power."""
    wide = (values.astype(np.uint32) << 16).view(np.float32) * np.float32(2.0**power)
    return (wide.view(np.uint32) >> 16).astype(np.uint16)


def place(values, axis, parts):
    """Along an axis, part after part: (length, new length, places of its values or None)."""
    out = np.zeros([sum(p[1] for p in parts) if i == axis else n
                    for i, n in enumerate(values.shape)], values.dtype)
    old = new = 0
    for length, longer, places in parts:
        piece = np.take(values, range(old, old + length), axis)
        at = new + np.asarray(range(length) if places is None else places)
        out[(slice(None),) * axis + (at,)] = piece
        old, new = old + length, new + longer
    return out


class Widener:
    def __init__(self, config):
        self.c = config
        rope = config["qk_rope_head_dim"]
        pairs = [HEAD * (i - i % 2) + i % 2 for i in range(rope)]
        self.rope = (rope, HEAD * rope, pairs)
        self.nope = self.head("qk_nope_head_dim")
        self.v = self.head("v_head_dim")
        self.kv = self.wide("kv_lora_rank")
        self.d = self.wide("hidden_size")

    def wide(self, key):
        return (self.c[key], WIDE * self.c[key], None)

    def head(self, key):
        return (self.c[key], HEAD * self.c[key], None)

    def axes(self, name):
        """How the axes of this tensor grow; None: as the hidden size does."""
        heads = self.c["num_attention_heads"]
        inner = self.wide("intermediate_size") if re.search(r"mlp\.(gate|up|down)_proj", name) \
            else self.wide("moe_intermediate_size")
        table = [
            (r"self_attn\.q_proj", [[self.nope, self.rope] * heads, [self.d]]),
            (r"kv_a_proj_with_mqa", [[self.kv, self.rope], [self.d]]),
            (r"kv_a_layernorm", [[self.kv]]),
            (r"kv_b_proj", [[self.nope, self.v] * heads, [self.kv]]),
            (r"o_proj", [[self.d], [self.v] * heads]),
            (r"eh_proj", [[self.d], [self.d, self.d]]),
            (r"e_score_correction_bias", [None]),
            (r"(gate|up)_proj", [[inner], [self.d]]),
            (r"down_proj", [[self.d], [inner]]),
            (r"norm\.weight|layernorm", [[self.d]]),
            (r"", [None, [self.d]]),  # tables and routers
        ]
        return next(axes for pattern, axes in table if re.search(pattern, name))

    def widen(self, name, values):
        for axis, parts in enumerate(self.axes(name)):
            if parts is not None:
                values = place(values, axis, parts)
        if re.search(r"norm", name):
            return times(values, -2)
        return times(values, 1) if ".q_proj" in name else values

    def config(self, layers):
        wider = dict(self.c, num_hidden_layers=self.c["num_hidden_layers"] + layers,
                     rms_norm_eps=self.c["rms_norm_eps"] / WIDE)
        for key in ("hidden_size", "intermediate_size", "moe_intermediate_size", "kv_lora_rank"):
            wider[key] *= WIDE
        for key in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"):
            wider[key] *= HEAD
        return wider


def with_layers(tensors, config, layers):
    """(new name, old name, whether its values become zeros): MTP modules move behind the new ones."""
    n, first = config["num_hidden_layers"], config["first_k_dense_replace"]
    for name in tensors:
        layer = re.match(r"model\.layers\.(\d+)\.", name)
        number = int(layer[1]) if layer else -1
        moved = name if number < n else name.replace(f".{number}.", f".{number + layers}.", 1)
        yield moved, name, False
        for extra in range(layers):
            if number == first + extra % (n - first):
                yield (name.replace(f".{number}.", f".{n + extra}.", 1), name,
                       re.search(r"o_proj|down_proj", name) is not None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("wider", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=4)
    args = parser.parse_args()
    config = json.loads((args.folder / "config.json").read_text())
    tensors = read(args.folder)
    widener = Widener(config)
    args.wider.mkdir()
    for file in args.folder.glob("*token*.json"):
        shutil.copy(file, args.wider)
    shutil.copy(args.folder / "generation_config.json", args.wider)
    (args.wider / "config.json").write_text(json.dumps(widener.config(args.layers), indent=2))
    wanted = sorted(with_layers(tensors, config, args.layers),
                    key=lambda row: (tensors[row[1]].dtype != np.float32, row[0]))
    header, at = {}, 0
    for new, old, _ in wanted:
        values = widener.widen(old, tensors[old])
        name = "F32" if values.dtype == np.float32 else "BF16"
        header[new] = {"dtype": name, "shape": values.shape, "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(args.wider / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, old, zero in wanted:
            values = widener.widen(old, tensors[old])
            file.write((values * 0 if zero else values).tobytes())


main()
