"""Files of named tensors: 8 bytes length, a JSON header, then the raw bytes, little-endian.

BF16 is read as float32 (its upper half); F8_E4M3 as uint8 codes, whose values fp8.py knows.
"""
import json
import pathlib
import struct

import numpy as np

import fp8

NUMPY = {"F64": "<f8", "F32": "<f4", "I32": "<i4", "I64": "<i8", "BF16": "<u2", "F8_E4M3": "u1"}


def read(path):
    """{name: array} and {name: dtype as the file spells it}."""
    blob = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8:8 + length])
    header.pop("__metadata__", None)
    tensors, dtypes = {}, {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        array = np.frombuffer(blob[8 + length + begin:8 + length + end], NUMPY[entry["dtype"]])
        if entry["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = array.reshape(entry["shape"])
        dtypes[name] = entry["dtype"]
    return tensors, dtypes


def write(path, tensors, dtypes):
    """Casts every array to its dtype; dtypes of NUMPY other than BF16."""
    header, chunks, offset = {}, [], 0
    for name, array in tensors.items():
        chunk = np.ascontiguousarray(array).astype(NUMPY[dtypes[name]]).tobytes()
        header[name] = {"dtype": dtypes[name], "shape": list(np.shape(array)),
                        "data_offsets": [offset, offset + len(chunk)]}
        chunks.append(chunk)
        offset += len(chunk)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def read_checkpoint(folder):
    """{parameter: float64 array} of a checkpoint, and the names of those stored in FP8.

    Either one model.safetensors, or shards listed in model.safetensors.index.json. The scales of an
    FP8 weight, `NAME_scale_inv`, multiply its codes.
    """
    folder = pathlib.Path(folder)
    index = folder / "model.safetensors.index.json"
    files = (sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.exists()
             else ["model.safetensors"])
    tensors, dtypes = {}, {}
    for file in files:
        for whole, part in zip((tensors, dtypes), read(folder / file)):
            whole.update(part)
    in_fp8 = {name for name, dtype in dtypes.items() if dtype == "F8_E4M3"}
    weights = {}
    for name, array in tensors.items():
        if name in in_fp8:
            weights[name] = fp8.dequantise(array, tensors[name + "_scale_inv"], fp8.BLOCK)
        elif not name.endswith("_scale_inv"):
            weights[name] = array.astype(np.float64)
    return weights, in_fp8
