#!/usr/bin/env python3
"""kt-kernel's FP8 experts by themselves: the routed experts of 15 layers, one pass of tokens.

    pip install kt-kernel numpy            # 0.7.2; torch, which it asks for, is not needed here
    bench/kt_experts_peer.py --threads 2 [--tokens 1] [--layers 15] [--rounds 7] [--kernel avx2]

Each layer has 32 experts of 3 x 512 x 1024 weights in E4M3 with 128x128 scales, and a token goes to 4
of them; the calls are those of the package's own wrapper, on numpy buffers. There is no attention, no
shared expert and no head: what comes out is below a whole token's time.

Prints one line of JSON: ms_best, ms_median of a pass, gb_s of distinct expert weights read at best.
Do not give it a real-time priority: its waiting threads spin, and may keep the workers off the cores.
"""

import argparse
import ctypes
import importlib.util
import json
import pathlib
import statistics
import sys
import time

import numpy as np

N_EXPERTS, TOP_K, D_MODEL, D_EXPERT, BLOCK = 32, 4, 1024, 512, 128
# The extension is built once per instruction set; the classes' names are not the same in each.
KERNELS = {"avx2": "AVX2FP8_MOE", "avx512_bf16": "AMXFP8_MOE"}


def open_extension(kernel):
    """The compiled part alone: importing the package would import torch."""
    package = pathlib.Path(importlib.util.find_spec("kt_kernel").submodule_search_locations[0])
    for library in (package.parent / "kt_kernel.libs").glob("libgomp*"):
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    found = list(package.glob(f"_kt_kernel_ext_{kernel}.*.so"))
    if not found:
        sys.exit(f"{package} has no extension for {kernel}")
    spec = importlib.util.spec_from_file_location("kt_kernel_ext", found[0])
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    return extension


def addresses(arrays):
    return [[a.ctypes.data for a in arrays]]  # of the one NUMA node


class Layer:
    def __init__(self, extension, workers, kernel, index, max_tokens, pick):
        config = extension.moe.MOEConfig(N_EXPERTS, TOP_K, D_MODEL, D_EXPERT, self.mask().ctypes.data)
        config.layer_idx, config.pool, config.max_len = index, workers.backend_, max_tokens
        config.quant_config.bits, config.quant_config.group_size = 8, BLOCK
        config.quant_config.zero_point = False
        shapes = {"gate": (D_EXPERT, D_MODEL), "up": (D_EXPERT, D_MODEL), "down": (D_MODEL, D_EXPERT)}
        self.weights = []
        for name, (rows, cols) in shapes.items():
            codes = [pick.integers(0, 120, (rows, cols), np.uint8) for _ in range(N_EXPERTS)]
            scales = [np.full((rows // BLOCK, cols // BLOCK), 1e-3, np.float32) for _ in codes]
            setattr(config, name + "_projs", addresses(codes))
            setattr(config, name + "_scales", addresses(scales))
            self.weights += [codes, scales]
        self.config = config
        self.moe = getattr(extension.moe, KERNELS[kernel])(config)
        order = np.arange(N_EXPERTS, dtype=np.int64)
        workers.submit(self.moe.load_weights_task(order.ctypes.data))
        workers.sync()
        self.weights = []  # it has copied them

    def mask(self):
        self.on_gpu = np.zeros(N_EXPERTS, np.uint8)  # none; the config keeps the address
        return self.on_gpu


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=1)
    parser.add_argument("--layers", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--kernel", choices=KERNELS, default="avx2")
    args = parser.parse_args()

    extension = open_extension(args.kernel)
    pool = extension.WorkerPoolConfig()
    pool.subpool_count, pool.subpool_numa_map, pool.subpool_thread_count = 1, [0], [args.threads]
    workers = extension.CPUInfer(pool)
    pick = np.random.default_rng(1)
    layers = [
        Layer(extension, workers, args.kernel, i, max(args.tokens, 64), pick)
        for i in range(args.layers)
    ]

    x = (pick.normal(size=(args.tokens, D_MODEL)).astype(np.float32).view(np.uint32) >> 16).astype(
        np.uint16)
    y = np.zeros_like(x)  # bf16, both
    gates = np.full((args.tokens, TOP_K), 1 / TOP_K, np.float32)
    n_tokens = np.array([args.tokens], np.int32)
    seconds, n_read = [], []
    for _ in range(args.rounds + 1):  # the first warms up
        chosen = [
            np.stack([pick.permutation(N_EXPERTS)[:TOP_K] for _ in range(args.tokens)]).astype(np.int64)
            for _ in layers
        ]
        begin = time.perf_counter()
        for layer, experts in zip(layers, chosen):
            workers.submit(layer.moe.forward_task(
                n_tokens.ctypes.data, TOP_K, experts.ctypes.data, gates.ctypes.data, x.ctypes.data,
                y.ctypes.data, False))
            workers.sync()
        seconds.append(time.perf_counter() - begin)
        n_read.append(sum(len(np.unique(experts)) for experts in chosen))
    if not y.any():
        sys.exit("the experts' output is zero: the call does not fit this version of kt-kernel")
    bytes_read = [n * 3 * D_EXPERT * D_MODEL for n in n_read]
    print(json.dumps({
        "peer": "kt-kernel " + args.kernel,
        "threads": args.threads,
        "tokens": args.tokens,
        "ms_best": round(1e3 * min(seconds[1:]), 2),
        "ms_median": round(1e3 * statistics.median(seconds[1:]), 2),
        "gb_s": round(max(b / s for b, s in zip(bytes_read[1:], seconds[1:])) / 1e9, 2),
    }))


main()
