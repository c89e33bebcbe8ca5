"""Recomputes single operations and their gradients, stored in ops.safetensors and ops.json.

    python3 tools/golden/op_case.py FOLDER            makes both anew, inputs included

Inputs are filed as OP.in.NAME, settings as OP.set.NAME, results as OP.NAME. A gradient is that of
sum(OP.in.dNAME * OP.NAME), by reverse mode. Sequences begin at the tokens of set.offsets.
"""
import json
import pathlib
import sys

import numpy as np

import router
import safetensors
from autograd import Value, concatenate, exp, gradients, log, log_softmax, silu, softmax


def rmsnorm(x, w, dy, *, eps):
    x, w = Value(x), Value(w)
    r = ((x * x).mean(axis=-1, keepdims=True) + eps) ** -0.5
    y = x * r * w
    slopes = gradients((y * dy).sum(), {"dx": x, "dw": w})
    return {"y": y.data, "r": r.data[:, 0], **slopes}


def swiglu(gate, up, dh):
    gate, up = Value(gate), Value(up)
    h = silu(gate) * up
    return {"h": h.data, **gradients((h * dh).sum(), {"dgate": gate, "dup": up})}


def cross_entropy(logits, targets, *, scale):
    """A target of -1 costs nothing. The gradient is that of scale * the sum of the losses."""
    logits, counted = Value(logits), np.flatnonzero(targets >= 0)
    of_target = log_softmax(logits)[counted, targets[counted]]
    loss = np.zeros(len(targets))
    loss[counted] = -of_target.data
    return {"loss": loss, **gradients(-of_target.sum() * scale, {"dlogits": logits})}


def attention(q, kv, k_rope, do, *, offsets, d_nope, scale):
    """Causal, eq. (10) of arXiv:2412.19437: kv is [T, heads, d_nope + d_v], k_rope one for all heads."""
    q, kv, k_rope = Value(q), Value(kv), Value(k_rope)
    n_h = q.shape[1]
    outputs, lse = [], []
    for begin, end in zip(offsets, offsets[1:]):
        rope = k_rope[begin:end].reshape(end - begin, 1, -1) * np.ones((1, n_h, 1))
        k = concatenate([kv[begin:end][..., :d_nope], rope])
        scores = q[begin:end].transpose(1, 0, 2) @ k.transpose(1, 2, 0) * scale
        scores = scores + np.triu(np.full(scores.shape[1:], -np.inf), k=1)
        v = kv[begin:end][..., d_nope:]
        outputs.append((softmax(scores) @ v.transpose(1, 0, 2)).transpose(1, 0, 2))
        lse.append(log(exp(scores).sum(axis=-1)).data.T)
    o = concatenate(outputs, axis=0)
    slopes = gradients((o * do).sum(), {"dq": q, "dkv": kv, "dk_rope": k_rope})
    return {"o": o.data, "lse": np.concatenate(lse), **slopes}


def adamw(value, m, v, grad, *, lr, beta1, beta2, eps, weight_decay, grad_scale, step):
    """arXiv:1711.05101, algorithm 2."""
    g = grad_scale * grad
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = m / (1 - beta1 ** step), v / (1 - beta2 ** step)
    return {"value": value * (1 - lr * weight_decay) - lr * m_hat / (np.sqrt(v_hat) + eps), "m": m, "v": v}


def balance(scores, *, offsets, top_k):
    """Eq. (17) to (20): per sequence, f counts the largest scores and has no gradient."""
    scores, losses = Value(scores), []
    for begin, end in zip(offsets, offsets[1:]):
        s = scores[begin:end]
        losses.append(router.balance(s, router.top_k(s.data, top_k)))
    loss = sum(losses) * (1.0 / len(losses))
    return {"loss": loss.data.reshape(1), **gradients(loss, {"dscores": scores})}


OPS = {"rmsnorm": rmsnorm, "swiglu": swiglu, "cross_entropy": cross_entropy, "attention": attention,
       "adamw": adamw, "balance": balance}


def compute(folder, stored, facts):
    tensors = {}
    for op, function in OPS.items():
        prefix = f"{op}.in."
        inputs = {name[len(prefix):]: array if array.dtype.kind == "i" else array.astype(np.float64)
                  for name, array in stored.items() if name.startswith(prefix)}
        results = function(**inputs, **facts[op]["set"])
        tensors.update({f"{op}.{name}": array for name, array in results.items()})
    return tensors, {}


def inputs():
    random = np.random.default_rng(2412_19437)

    def normal(*shape, scale=1.0):
        return random.normal(0.0, scale, shape)
    x = normal(5, 48)
    x[1], x[2] = 0.0, 1e4 * x[2]  # a row of nothing and a large one
    scores = 1.0 / (1.0 + np.exp(-normal(12, 8)))
    tensors = {
        "rmsnorm": {"x": x, "w": normal(48), "dy": normal(5, 48)},
        "swiglu": {"gate": normal(3, 33, scale=4.0), "up": normal(3, 33), "dh": normal(3, 33)},
        "cross_entropy": {"logits": normal(4, 37, scale=3.0),
                          "targets": np.array([36, 0, -1, 17], np.int32)},
        "attention": {"q": normal(17, 2, 10), "kv": normal(17, 2, 11), "k_rope": normal(17, 4),
                      "do": normal(17, 2, 5)},
        "adamw": {"value": normal(65), "m": normal(65, scale=0.1), "v": normal(65, scale=0.1) ** 2,
                  "grad": normal(65)},
        "balance": {"scores": scores},
    }
    settings = {
        "rmsnorm": {"eps": 1e-3},
        "swiglu": {},
        "cross_entropy": {"scale": 0.25},
        "attention": {"offsets": [0, 5, 17], "d_nope": 6, "scale": 0.375},
        "adamw": {"lr": 0.015625, "beta1": 0.875, "beta2": 0.96875, "eps": 2.0 ** -20,
                  "weight_decay": 0.125, "grad_scale": 0.75, "step": 3},
        "balance": {"offsets": [0, 5, 12], "top_k": 2},
    }
    return ({f"{op}.in.{name}": array if array.dtype == np.int32 else array.astype(np.float32)
             for op, arrays in tensors.items() for name, array in arrays.items()},
            {op: {"set": values} for op, values in settings.items()})


def main():
    folder = pathlib.Path(sys.argv[1])
    tensors, facts = inputs()
    tensors.update(compute(folder, tensors, facts)[0])
    folder.mkdir(parents=True, exist_ok=True)
    dtypes = {name: "I32" if array.dtype == np.int32 else "F32" for name, array in tensors.items()}
    safetensors.write(folder / "ops.safetensors", tensors, dtypes)
    (folder / "ops.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
