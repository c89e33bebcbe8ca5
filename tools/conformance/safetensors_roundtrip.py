#!/usr/bin/env python3
"""Files written by hadal opened by the reference safetensors library, and the other way round.

    pip install safetensors      (0.8 or later)
    python3 tools/conformance/safetensors_roundtrip.py --hadal build/release/hadal/hadal

For each checkpoint of tests/golden (or --checkpoint DIR ...): `hadal convert` to every precision; each
file must open in the reference library, and every value must be what plain arithmetic on the source's
bytes gives (F32 exact; BF16 rounded to nearest even; FP8, q8 and q4 within half a step of their block).
Then the reference library writes the same tensors, and `hadal inspect --verify` must accept them.
Exit code 0 only if all holds.
"""
import argparse
import ctypes
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

from safetensors import TensorSpec, deserialize, serialize_file

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def floats(tensor):
    data, dtype = bytes(tensor["data"]), tensor["dtype"]
    if dtype == "F32":
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    if dtype == "BF16":
        words = struct.unpack(f"<{len(data) // 2}H", data)
        return list(struct.unpack(f"<{len(words)}f", struct.pack(f"<{len(words)}I", *(w << 16 for w in words))))
    if dtype == "F8_E4M3":
        return [e4m3(code) for code in data]
    if dtype == "I8":
        return [float(c) for c in struct.unpack(f"<{len(data)}b", data)]
    raise ValueError(dtype)


def e4m3(code):
    exponent, mantissa, sign = code >> 3 & 15, code & 7, -1.0 if code & 128 else 1.0
    if exponent == 15 and mantissa == 7:
        return math.nan
    return sign * (mantissa * 2.0**-9 if exponent == 0 else (8 + mantissa) * 2.0 ** (exponent - 10))


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def to_bf16(value):
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return struct.unpack("<f", struct.pack("<I", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16))[0]


def read_folder(folder):
    tensors = {}
    for path in sorted(folder.glob("model*.safetensors")):
        tensors.update(dict(deserialize(path.read_bytes())))
    return tensors


def values_of(tensors, name):
    """The values of a weight, whatever form it is stored in, and half a step for each."""
    tensor = tensors[name]
    if name + "_scale_inv" in tensors:
        rows, cols = tensor["shape"]
        scales = floats(tensors[name + "_scale_inv"])
        wide = -(-cols // 128)
        scale = [scales[n // 128 * wide + k // 128] for n in range(rows) for k in range(cols)]
        values = [single(c * s) for c, s in zip(floats(tensor), scale)]
        half = [max(abs(v) * 2.0**-4, s * 2.0**-10) for v, s in zip(values, scale)]
        return values, half
    if name + "_qscale" in tensors:
        scale_tensor = tensors[name + "_qscale"]
        rows, blocks = scale_tensor["shape"]
        scales = floats(scale_tensor)
        if tensor["dtype"] == "I8":
            cols, codes = tensor["shape"][1], floats(tensor)
        else:
            # the file does not say whether the last column of an odd width exists; golden widths are even
            cols = tensor["shape"][1] * 2
            codes = [float((b >> shift & 15) - 8) for b in bytes(tensor["data"]) for shift in (0, 4)]
        scale = [scales[n * blocks + k // 32] for n in range(rows) for k in range(cols)]
        return [c * s for c, s in zip(codes, scale)], [s / 2 for s in scale]
    values = floats(tensor)
    return values, [0.0] * len(values)


def check_folder(source, converted, dtype):
    checked = 0
    for name in source:
        if name.endswith(("_scale_inv", "_qscale")):
            continue
        want, _ = values_of(source, name)
        got, half = values_of(converted, name)
        bf16 = converted[name]["dtype"] == "BF16"
        for w, g, h in zip(want, got, half, strict=True):
            expected = to_bf16(w) if bf16 else w
            if not abs(g - expected) <= h * (1 + 1e-5):
                return f"{name}: found {g}, expected {expected} within {h}"
        checked += len(want)
    print(f"  {dtype}: {len(converted)} tensors, {checked} values")
    return ""


def write_theirs(tensors, path):
    names = {"F32": "float32", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn"}
    buffers, specs = [], {}  # the library reads through bare pointers: keep the buffers alive
    for name, tensor in tensors.items():
        data = bytes(tensor["data"])
        buffers.append(ctypes.create_string_buffer(data, len(data)))
        specs[name] = TensorSpec(dtype=names[tensor["dtype"]], shape=tensor["shape"],
                                 data_ptr=ctypes.addressof(buffers[-1]), data_len=len(data))
    serialize_file(specs, str(path), {"format": "pt"})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hadal", default=str(ROOT / "build/release/hadal/hadal"))
    parser.add_argument("--checkpoint", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    golden = ROOT / "tests/golden"
    folders = args.checkpoint or sorted(p.parent for p in golden.glob("*/config.json"))
    failures = []
    for folder in folders:
        print(folder.name)
        source = read_folder(folder)
        with tempfile.TemporaryDirectory() as temporary:
            for dtype in ("f32", "bf16", "fp8", "q8", "q4"):
                target = pathlib.Path(temporary) / dtype
                subprocess.run([args.hadal, "convert", folder, target, "--dtype", dtype, "--quiet",
                                "--json"], check=True, stdout=subprocess.DEVNULL)
                problem = check_folder(source, read_folder(target), dtype)
                if problem:
                    failures.append(f"{folder.name} {dtype}: {problem}")
            theirs = pathlib.Path(temporary) / "theirs.safetensors"
            write_theirs(source, theirs)
            result = subprocess.run([args.hadal, "inspect", theirs, "--verify", "--json"],
                                    capture_output=True, text=True)
            if result.returncode != 0 or len(json.loads(result.stdout)["tensors"]) != len(source):
                failures.append(f"{folder.name}: inspect of their file: {result.stderr}")
    print("\n".join(failures) or "every file opens, every value is right")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
