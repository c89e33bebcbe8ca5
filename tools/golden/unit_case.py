"""Recomputes the single operations stored in unit.safetensors and unit.json.

Values are filed under their stored names: {tensor: array} and nested numbers as in the JSON.
"""
import types

import numpy as np

import fp8
import grpo
import router
import yarn
from autograd import Value, sigmoid
from compare import distance

GAMMA = 0.001
ROUNDINGS = {"": False, "_ue8m0": True}  # name -> scales are powers of two


def rope(name, stored, unit):
    dim, theta, scaling = unit["qk_rope_head_dim"], unit["rope_theta"], unit["rope_scaling"]
    cos, sin = yarn.cos_sin(unit["positions"], dim, theta, scaling)
    tensors = {"inv_freq": yarn.inverse_frequencies(dim, theta, scaling), "cos": cos, "sin": sin,
               "rotated": yarn.rotate(Value(stored[f"rope.{name}.x"]), cos, sin).data}
    return tensors, {"cos_sin_magnitude": yarn.cos_sin_magnitude(scaling),
                     "softmax_scale": yarn.softmax_scale(unit["qk_nope_head_dim"], dim, scaling),
                     "ramp_bounds": scaling and list(yarn.ramp_bounds(dim, theta, scaling))}


def routing(name, stored, unit):
    config = types.SimpleNamespace(**unit)
    affinity = sigmoid(Value(stored[f"router.{name}.logits"])).data
    bias = stored[f"router.{name}.bias"].astype(np.float64)
    chosen = router.choose(affinity, bias, config)
    loads = router.load(chosen, config.n_routed_experts)
    tensors = {"indices": chosen, "gates": router.gates(affinity, chosen, config), "load": loads,
               f"bias_after_gamma_{GAMMA}": router.bias_after_step(bias, loads, GAMMA)}
    counted = router.top_k(affinity, config.num_experts_per_tok)
    balance = [router.balance(affinity[i:i + 16], counted[i:i + 16]) for i in (0, 16)]
    corrected = np.take_along_axis(affinity + bias, chosen, axis=-1)
    return tensors, {"min_margin": router.margin(affinity, bias, config),
                     "chosen_with_negative_corrected_score": int((corrected < 0).sum()),
                     "balance_loss_2_sequences_of_16": np.mean(balance)}


def quantised(stored):
    """Codes and scales of every tile form, and products of what they represent."""
    forms = {"tiles": ("tiles.x", fp8.ROW_TILE, fp8.FLOOR), "ragged": ("ragged.x", fp8.ROW_TILE, fp8.FLOOR),
             "tiles_grad": ("tiles.x", fp8.ROW_TILE, 0.0), "blocks": ("blocks.w", fp8.BLOCK, 0.0),
             "blocks_ragged": ("blocks_ragged.w", fp8.BLOCK, 0.0)}
    tensors = {"decode": fp8.decode(np.arange(256)), "cast_out": fp8.encode(stored["fp8.cast_in"])}
    for suffix, power_of_two in ROUNDINGS.items():
        values = {}
        for form, (source, tile, floor) in forms.items():
            codes, scale = fp8.quantise(stored["fp8." + source], tile, np.float32(floor), power_of_two)
            tensors[f"{form}{suffix}.codes"], tensors[f"{form}{suffix}.scale"] = codes, scale
            values[form] = fp8.dequantise(codes, scale, tile)
        tensors[f"tiles{suffix}.matmul_blocks"] = values["tiles"] @ values["blocks"].T
        tensors[f"blocks_ragged{suffix}.dequantised"] = values["blocks_ragged"]
    return tensors


def fp8_linear(stored):
    """y = x W^T, dx = dy W, dw = dy^T x; every operand has its scales along the axis that is summed."""
    x, w, dy = (stored["fp8.linear." + part].astype(np.float64) for part in ("x", "w", "dy"))
    tensors = {}
    for suffix, power_of_two in ROUNDINGS.items():
        def rounded(value, tile, floor=np.float32(0.0), how=power_of_two):
            return fp8.rounded(value, tile, floor=floor, power_of_two=how)
        blocks = rounded(w, fp8.BLOCK)
        tensors[f"linear{suffix}.y"] = rounded(x, fp8.ROW_TILE, fp8.FLOOR) @ blocks.T
        tensors[f"linear{suffix}.dx"] = rounded(dy, fp8.ROW_TILE) @ blocks
        tensors[f"linear{suffix}.dw"] = (rounded(dy, fp8.COLUMN_TILE).T
                                         @ rounded(x, fp8.COLUMN_TILE, fp8.FLOOR))
    exact = {"y": x @ w.T, "dx": dy @ w, "dw": dy.T @ x}
    return tensors, {part: distance(tensors["linear." + part], value) for part, value in exact.items()}


def policy(stored, unit):
    logp, logp_old, logp_ref, mask = (stored["grpo." + part].astype(np.float64)
                                      for part in ("logp", "logp_old", "logp_ref", "mask"))
    advantage = grpo.advantages(stored["grpo.rewards"].astype(np.float64))
    tensors = {"advantages": advantage}
    scalars = {"lengths": mask.sum(axis=-1).astype(int).tolist()}
    for form in ("token", "sequence"):
        scalars[form], tensors[form + ".grad_logp"] = grpo.loss(
            logp, logp_old, logp_ref, mask, advantage, unit["clip_eps"], unit["beta"], form == "sequence")
    return tensors, scalars


def compute(_folder, stored, facts):
    tensors, scalars = {}, {"rope": {}, "router": {}}
    for kind, function in {"rope": rope, "router": routing}.items():
        for name, unit in facts[kind].items():
            parts, scalars[kind][name] = function(name, stored, unit)
            tensors.update({f"{kind}.{name}.{part}": value for part, value in parts.items()})
    products, scalars["fp8_linear_rel_fro_vs_exact"] = fp8_linear(stored)
    tensors.update({"fp8." + name: value for name, value in {**quantised(stored), **products}.items()})
    parts, scalars["grpo"] = policy(stored, facts["grpo"])
    tensors.update({"grpo." + name: value for name, value in parts.items()})
    return tensors, scalars
