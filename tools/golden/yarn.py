"""Rotary position embedding and its extension to long contexts, YaRN (arXiv:2309.00071).

d_r = qk_rope_head_dim rotary entries of a head, d_n = qk_nope_head_dim entries without position.
A scaling is config.json's `rope_scaling`: None, or a dictionary with YaRN's settings. It applies at
every position, also below the original length.
"""
import math

import numpy as np

from autograd import concatenate


def ramp_bounds(dim, theta, scaling):
    """Pairs below `low` keep their frequency, pairs from `high` on are slowed down by `factor`.

    pair(r) = dim ln(original / (2 pi r)) / (2 ln theta) is the pair that turns r times within the
    original length.
    """
    def pair(turns):
        original = scaling["original_max_position_embeddings"]
        return dim * math.log(original / (2 * math.pi * turns)) / (2 * math.log(theta))
    low = max(math.floor(pair(scaling["beta_fast"])), 0)
    high = min(math.ceil(pair(scaling["beta_slow"])), dim - 1)
    return low, high


def inverse_frequencies(dim, theta, scaling):
    """[dim/2] angle per position of every pair: theta^(-2i/dim), with YaRN blended between the pair's
    own frequency and the slowed one."""
    i = np.arange(dim // 2)
    frequency = theta ** (-2.0 * i / dim)
    if scaling is None:
        return frequency
    low, high = ramp_bounds(dim, theta, scaling)
    slowed = np.clip((i - low) / max(high - low, 0.001), 0.0, 1.0)
    return frequency * (1.0 - slowed) + frequency / scaling["factor"] * slowed


def magnitude(factor, m):
    """0.1 m ln(factor) + 1, the growth of attention's temperature with the length."""
    return 0.1 * m * math.log(factor) + 1.0 if factor > 1 else 1.0


def cos_sin_magnitude(scaling):
    if scaling is None:
        return 1.0
    return (magnitude(scaling["factor"], scaling.get("mscale", 1.0))
            / magnitude(scaling["factor"], scaling.get("mscale_all_dim", 0.0)))


def softmax_scale(d_n, d_r, scaling):
    """(d_n + d_r)^-1/2 of eq. (10), times YaRN's magnitude once for q and once for k."""
    scale = (d_n + d_r) ** -0.5
    if scaling is not None and scaling.get("mscale_all_dim", 0.0) != 0.0:
        scale *= magnitude(scaling["factor"], scaling["mscale_all_dim"]) ** 2
    return scale


def cos_sin(positions, dim, theta, scaling):
    """Two arrays [T, dim/2]."""
    angle = np.outer(positions, inverse_frequencies(dim, theta, scaling))
    return np.cos(angle) * cos_sin_magnitude(scaling), np.sin(angle) * cos_sin_magnitude(scaling)


def rotate(x, cos, sin):
    """Turns the adjacent pairs (x[2i], x[2i+1]) of a Value [T, n_heads, d_r] by the angle of their
    position: eq. (3) and (8)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = cos[:, None, :], sin[:, None, :]  # the same for every head
    turned = (even * cos - odd * sin, even * sin + odd * cos)
    return concatenate([half.reshape(*half.shape, 1) for half in turned]).reshape(*x.shape)
