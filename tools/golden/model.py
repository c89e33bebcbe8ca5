"""DeepSeek-V3's forward pass over one sequence, from the equations of arXiv:2412.19437.

Shapes: T tokens, d = hidden_size, n_h heads, d_n = qk_nope_head_dim, d_r = qk_rope_head_dim,
d_v = v_head_dim, d_c = kv_lora_rank, K = num_experts_per_tok, E = n_routed_experts, V = vocab_size.
Every linear layer is y = x W^T with W stored [out, in]. Parameters go by their names in the checkpoint.
"""
import dataclasses
import json
import pathlib
import types

import numpy as np

import fp8
import router
import yarn
from autograd import Value, concatenate, put_rows, sigmoid, silu, softmax

LATENT_EPS = 1e-6  # of the norms on the two latents, whatever rms_norm_eps says


def read_config(folder):
    fields = json.loads((pathlib.Path(folder) / "config.json").read_text())
    defaults = {"rope_scaling": None, "q_lora_rank": None, "num_nextn_predict_layers": 0,
                "tie_word_embeddings": False, "quantization_config": None}
    return types.SimpleNamespace(**{**defaults, **fields})


@dataclasses.dataclass
class Routing:
    affinity: Value  # [T, E] s
    chosen: np.ndarray  # [T, K] ascending
    gates: Value  # [T, K]


@dataclasses.dataclass
class Depth:
    """What depth k of MTP gives: row i predicts token i + k + 1."""
    logits: Value  # [T-k, V]
    hidden: Value  # [T-k, d]


@dataclasses.dataclass
class Pass:
    hidden: list  # [T, d] after every layer
    final_norm: Value  # [T, d]
    logits: Value  # [T, V]
    routing: dict  # layer -> Routing; MTP layers follow the others
    mtp: list  # Depth k at index k - 1


class Model:
    """quantised_inputs: names of linear weights whose inputs are rounded to FP8 tiles first.
    norm_before_mtp: MTP receives states after the norm in front of the head; otherwise before it."""

    def __init__(self, config, weights, quantised_inputs=(), norm_before_mtp=True):
        self.config, self.weights = config, weights
        self.quantised_inputs, self.norm_before_mtp = quantised_inputs, norm_before_mtp
        self.power_of_two = (config.quantization_config or {}).get("scale_fmt") == "ue8m0"
        self.linear_inputs = {}  # weight -> its latest input, before rounding
        self.routing = {}

    def linear(self, name, x):
        weight = self.weights[name + ".weight"]
        self.linear_inputs[name] = x.data
        if name + ".weight" in self.quantised_inputs:
            x = Value(fp8.rounded(x.data, fp8.ROW_TILE, floor=fp8.FLOOR, power_of_two=self.power_of_two))
        return x @ weight.T

    def norm(self, name, x, eps=None):
        """x / sqrt(mean(x^2) + eps) * w over the last axis."""
        eps = self.config.rms_norm_eps if eps is None else eps
        return x * ((x * x).mean(axis=-1, keepdims=True) + eps) ** -0.5 * self.weights[name + ".weight"]

    def attention(self, prefix, h):
        """Multi-head latent attention, eq. (1) to (11): [T, d] -> [T, d]."""
        c = self.config
        n_tokens, n_h, d_n, d_r = len(h.data), c.num_attention_heads, c.qk_nope_head_dim, c.qk_rope_head_dim
        cos, sin = yarn.cos_sin(np.arange(n_tokens), d_r, c.rope_theta, c.rope_scaling)
        if c.q_lora_rank is None:
            q = self.linear(prefix + "q_proj", h)
        else:  # eq. (6), (7)
            c_q = self.norm(prefix + "q_a_layernorm", self.linear(prefix + "q_a_proj", h), LATENT_EPS)
            q = self.linear(prefix + "q_b_proj", c_q)
        q = q.reshape(n_tokens, n_h, d_n + d_r)
        q = concatenate([q[..., :d_n], yarn.rotate(q[..., d_n:], cos, sin)])  # eq. (8), (9)

        down = self.linear(prefix + "kv_a_proj_with_mqa", h)  # rows: latent, then the rotary key
        c_kv = self.norm(prefix + "kv_a_layernorm", down[:, :c.kv_lora_rank], LATENT_EPS)  # eq. (1)
        k_rope = yarn.rotate(down[:, c.kv_lora_rank:].reshape(n_tokens, 1, d_r), cos, sin)  # eq. (3)
        up = self.linear(prefix + "kv_b_proj", c_kv).reshape(n_tokens, n_h, d_n + c.v_head_dim)
        k_rope = k_rope * np.ones((1, n_h, 1))  # one rotary key for all heads
        k, v = concatenate([up[..., :d_n], k_rope]), up[..., d_n:]  # eq. (2), (4), (5)

        scores = q.transpose(1, 0, 2) @ k.transpose(1, 2, 0)  # [n_h, T, T]
        scores = scores * yarn.softmax_scale(d_n, d_r, c.rope_scaling)
        later = np.triu(np.full((n_tokens, n_tokens), -np.inf), k=1)
        out = softmax(scores + later) @ v.transpose(1, 0, 2)  # eq. (10)
        return self.linear(prefix + "o_proj", out.transpose(1, 0, 2).reshape(n_tokens, -1))  # eq. (11)

    def mlp(self, prefix, x):
        """W_down (SiLU(W_gate x) * W_up x)."""
        gate, up = self.linear(prefix + "gate_proj", x), self.linear(prefix + "up_proj", x)
        return self.linear(prefix + "down_proj", silu(gate) * up)

    def moe(self, layer, prefix, u):
        """Eq. (12) without the residual: [T, d] -> [T, d]."""
        affinity = sigmoid(self.linear(prefix + "gate", u))  # eq. (15)
        bias = self.weights[prefix + "gate.e_score_correction_bias"].data
        chosen = router.choose(affinity.data, bias, self.config)
        gates = router.gates(affinity, chosen, self.config)
        self.routing[layer] = Routing(affinity, chosen, gates)
        y = self.mlp(prefix + "shared_experts.", u)
        for expert in np.unique(chosen):
            token, slot = np.nonzero(chosen == expert)
            weighted = self.mlp(f"{prefix}experts.{expert}.", u[token]) * gates[token, slot].reshape(-1, 1)
            y = y + put_rows(weighted, token, len(u.data))
        return y

    def block(self, layer, x):
        prefix = f"model.layers.{layer}."
        x = x + self.attention(prefix + "self_attn.", self.norm(prefix + "input_layernorm", x))
        u = self.norm(prefix + "post_attention_layernorm", x)
        if layer < self.config.first_k_dense_replace:
            return x + self.mlp(prefix + "mlp.", u)
        return x + self.moe(layer, prefix + "mlp.", u)

    def head(self, normed):
        tied = self.config.tie_word_embeddings
        return normed @ self.weights["model.embed_tokens.weight" if tied else "lm_head.weight"].T

    def mtp(self, k, state, embedding):
        """Depth k of multi-token prediction, eq. (21) to (23): state [T-k+1, d] of the depth before,
        embedding [T, d] of all tokens -> Depth and the state for the next.

        The released eh_proj takes the embedding first, unlike eq. (21). Row i has position i.
        """
        layer = self.config.num_hidden_layers + k - 1
        prefix = f"model.layers.{layer}."
        n_rows = len(embedding.data) - k
        pair = concatenate([self.norm(prefix + "enorm", embedding[k:]),
                            self.norm(prefix + "hnorm", state[:n_rows])])
        hidden = self.block(layer, self.linear(prefix + "eh_proj", pair))
        normed = self.norm(prefix + "shared_head.norm", hidden)
        return Depth(self.head(normed), hidden), normed if self.norm_before_mtp else hidden

    def forward(self, ids, with_mtp=True):
        self.routing = {}
        embedding = self.weights["model.embed_tokens.weight"][np.asarray(ids)]
        x, hidden = embedding, []
        for layer in range(self.config.num_hidden_layers):
            x = self.block(layer, x)
            hidden.append(x)
        final_norm = self.norm("model.norm", x)
        state, depths = final_norm if self.norm_before_mtp else x, []
        for k in range(1, self.config.num_nextn_predict_layers + 1):
            if with_mtp and k < len(ids):
                depth, state = self.mtp(k, state, embedding)
                depths.append(depth)
        return Pass(hidden, final_norm, self.head(final_norm), self.routing, depths)
