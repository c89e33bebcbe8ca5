#!/usr/bin/env python3
"""A training peer in PyTorch: the model of `hadal bench train`, written as a PyTorch user would.

    bench/torch_peer.py --threads 2 [--steps 8] [--batch 8] [--seq 256] [--sdpa] [--compile]

11.8M parameters, 4.9M active: latent attention (MHA form), one dense layer and five with experts
(sigmoid router with a bias for the choice, 4 of 16 and one shared), RMSNorm, interleaved RoPE,
SwiGLU, untied head; F32, AdamW (0.9, 0.95, weight decay 0.1), gradients clipped at 1, random tokens.
Eager by default, experts one after the other over the rows that chose them. --sdpa takes PyTorch's
fused attention, --compile its compiler (both from PyTorch 2 on). Works from 1.13 (Debian 12) on.

Prints one line of JSON: tok_s_best, tok_s_median, peak_rss_mb, loss of the first and the last step,
and which library multiplied. Debian's PyTorch takes the reference BLAS, ten times slower, unless
libopenblas0-pthread is there: that is no peer, and is warned of. OPENBLAS_NUM_THREADS matters where
it is OpenBLAS: try 1 and the number of threads.
"""

import argparse
import json
import resource
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

D_MODEL, N_LAYERS, N_HEADS, VOCAB = 256, 6, 4, 4096
Q_RANK, KV_RANK, D_NOPE, D_ROPE, D_V = 128, 64, 32, 16, 32
D_FF, D_EXPERT, N_EXPERTS, TOP_K = 768, 128, 16, 4
ROUTE_SCALE, BIAS_SPEED = 2.5, 0.001


def linear(d_in, d_out):
    return nn.Linear(d_in, d_out, bias=False)


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.gain * (x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-6))


class Rotation(nn.Module):
    """Turns neighbouring pairs of the last axis by angles that grow with the position, axis -2."""

    def __init__(self, length):
        super().__init__()
        frequency = 1e4 ** -(torch.arange(0, D_ROPE, 2, dtype=torch.float32) / D_ROPE)
        angle = torch.outer(torch.arange(length, dtype=torch.float32), frequency)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, x):
        even, odd = x.unflatten(-1, (D_ROPE // 2, 2)).unbind(-1)
        turned = (even * self.cos - odd * self.sin, even * self.sin + odd * self.cos)
        return torch.stack(turned, dim=-1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, length, fused):
        super().__init__()
        self.down_q, self.norm_q = linear(D_MODEL, Q_RANK), Norm(Q_RANK)
        self.up_q = linear(Q_RANK, N_HEADS * (D_NOPE + D_ROPE))
        self.down_kv, self.norm_kv = linear(D_MODEL, KV_RANK + D_ROPE), Norm(KV_RANK)
        self.up_kv = linear(KV_RANK, N_HEADS * (D_NOPE + D_V))
        self.out = linear(N_HEADS * D_V, D_MODEL)
        self.fused = fused
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        self.register_buffer("future", future)

    def forward(self, x, rotate):
        batch, length, _ = x.shape

        def heads(rows):
            return rows.view(batch, length, N_HEADS, -1).transpose(1, 2)

        q_nope, q_rope = heads(self.up_q(self.norm_q(self.down_q(x)))).split([D_NOPE, D_ROPE], -1)
        latent, k_rope = self.down_kv(x).split([KV_RANK, D_ROPE], -1)
        k_nope, v = heads(self.up_kv(self.norm_kv(latent))).split([D_NOPE, D_V], -1)
        k_rope = rotate(k_rope).unsqueeze(1).expand(-1, N_HEADS, -1, -1)
        q = torch.cat([q_nope, rotate(q_rope)], -1)
        k = torch.cat([k_nope, k_rope], -1)
        if self.fused:
            o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.mT) / (D_NOPE + D_ROPE) ** 0.5
            o = torch.softmax(scores.masked_fill(self.future, float("-inf")), -1) @ v
        return self.out(o.transpose(1, 2).flatten(2))


class Gated(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate, self.up = linear(D_MODEL, width), linear(D_MODEL, width)
        self.down = linear(width, D_MODEL)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.router = linear(D_MODEL, N_EXPERTS)
        self.routed = nn.ModuleList([Gated(D_EXPERT) for _ in range(N_EXPERTS)])
        self.shared = Gated(D_EXPERT)
        self.register_buffer("bias", torch.zeros(N_EXPERTS))

    def forward(self, x):
        rows = x.flatten(0, 1)
        affinity = torch.sigmoid(self.router(rows))
        chosen = torch.topk(affinity.detach() + self.bias, TOP_K, dim=-1).indices
        gates = affinity.gather(-1, chosen)
        gates = ROUTE_SCALE * gates / gates.sum(-1, keepdim=True)
        y = self.shared(rows)
        for index, expert in enumerate(self.routed):
            token, slot = torch.where(chosen == index)
            if token.numel():
                weighted = gates[token, slot].unsqueeze(-1) * expert(rows[token])
                y = y.index_add(0, token, weighted)
        with torch.no_grad():
            load = torch.bincount(chosen.flatten(), minlength=N_EXPERTS).float()
            self.bias += BIAS_SPEED * torch.sign(load.mean() - load)
        return y.view_as(x)


class Layer(nn.Module):
    def __init__(self, index, length, fused):
        super().__init__()
        self.norm_attention, self.norm_ffn = Norm(D_MODEL), Norm(D_MODEL)
        self.attention = Attention(length, fused)
        self.ffn = Gated(D_FF) if index == 0 else Experts()

    def forward(self, x, rotate):
        x = x + self.attention(self.norm_attention(x), rotate)
        return x + self.ffn(self.norm_ffn(x))


class Peer(nn.Module):
    def __init__(self, length, fused):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, D_MODEL)
        self.rotate = Rotation(length)
        self.layers = nn.ModuleList([Layer(i, length, fused) for i in range(N_LAYERS)])
        self.norm, self.head = Norm(D_MODEL), linear(D_MODEL, VOCAB)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens, targets):
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.rotate)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten())


def blas():
    """The library of matrix products that this process has loaded."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        loaded = maps.read()
    for name in ("mkl", "openblas", "blis"):
        if name in loaded:
            return name
    return "reference" if "libblas" in loaded else "PyTorch's own"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in [("threads", 1), ("steps", 8), ("batch", 8), ("seq", 256)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--sdpa", action="store_true", help="fused attention")
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)

    model = Peer(options.seq, options.sdpa)
    n_parameters = sum(p.numel() for p in model.parameters())
    step_model = torch.compile(model) if options.compile else model
    adamw = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    ids = torch.randint(VOCAB, (options.batch, options.seq + 1))
    seconds, losses = [], []
    for _ in range(options.steps):
        start = time.perf_counter()
        adamw.zero_grad(set_to_none=True)
        loss = step_model(ids[:, :-1], ids[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    warm = seconds[1:] or seconds  # the first step allocates, and compiles where asked to
    tokens = options.batch * options.seq
    if blas() == "reference":
        print("torch_peer: warning: products by the reference BLAS: install libopenblas0-pthread",
              file=sys.stderr)
    print(json.dumps({
        "torch": torch.__version__, "blas": blas(), "threads": options.threads, "parameters": n_parameters,
        "tok_s_best": tokens / min(warm), "tok_s_median": tokens / statistics.median(warm),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "loss": [losses[0], losses[-1]]}))


if __name__ == "__main__":
    main()
