"""Losses, AdamW and the router biases: section 2.1.2, 2.2 and 4.2 of arXiv:2412.19437.

A batch is [B, T+1] token ids: T inputs and, shifted by one, their targets. `hyper` holds the settings
as golden.json's train.hyper names them.
"""
import numpy as np

import router
from autograd import Value, gradients, log_softmax
from model import Model

BIAS = "e_score_correction_bias"


def cross_entropy(logits, targets):
    """The sum over the rows of -log P(target)."""
    return -log_softmax(logits)[np.arange(len(targets)), targets].sum()


def mean_of(values):
    return sum(values) * (1.0 / len(values))


def losses(model, batch, hyper):
    """total = ce + lambda / D * sum_k L_k + alpha * sum over layers of the balance loss.

    Returns the Value to differentiate, and the record of its parts.
    """
    config = model.config
    n_depths = config.num_nextn_predict_layers
    passes = [model.forward(row[:-1]) for row in batch]
    n_targets = batch[:, 1:].size
    ce = sum(cross_entropy(p.logits, row[1:]) for p, row in zip(passes, batch)) * (1.0 / n_targets)
    # Eq. (24): divided by all T positions, though the last k have no token to predict.
    mtp = [sum(cross_entropy(p.mtp[k - 1].logits, row[k + 1:]) for p, row in zip(passes, batch))
           * (1.0 / n_targets) for k in range(1, n_depths + 1)]
    balance, as_routed, loads = {}, {}, {}
    for layer in passes[0].routing:
        routings = [p.routing[layer] for p in passes]
        balance[layer] = mean_of([router.balance(r.affinity, router.top_k(
            r.affinity.data, config.num_experts_per_tok)) for r in routings])
        as_routed[layer] = mean_of([router.balance(r.affinity, r.chosen) for r in routings])
        loads[layer] = sum(router.load(r.chosen, config.n_routed_experts) for r in routings)
    total = ce + hyper["balance_alpha"] * sum(balance.values())
    if n_depths > 0:
        total = total + hyper["mtp_lambda"] / n_depths * sum(mtp)  # eq. (25)
    record = {
        "loss_total": total.data, "ce": ce.data, "mtp": [loss.data for loss in mtp],
        "balance_per_layer": {str(layer): b.data for layer, b in balance.items()},
        "balance_sum": sum(b.data for b in balance.values()),
        "balance_sum_if_counted_on_routed_experts": sum(b.data for b in as_routed.values()),
        "expert_load": {str(layer): counts.tolist() for layer, counts in loads.items()}}
    return total, record, loads


class AdamW:
    """Weight decay acts on matrices only, norms and biases have one axis."""

    def __init__(self, hyper):
        self.hyper, self.n_steps, self.first, self.second = hyper, 0, {}, {}

    def step(self, weights, gradient):
        h = self.hyper
        self.n_steps += 1
        for name, g in gradient.items():
            m = self.first[name] = h["beta1"] * self.first.get(name, 0.0) + (1 - h["beta1"]) * g
            v = self.second[name] = h["beta2"] * self.second.get(name, 0.0) + (1 - h["beta2"]) * g * g
            m_hat, v_hat = m / (1 - h["beta1"] ** self.n_steps), v / (1 - h["beta2"] ** self.n_steps)
            decay = h["lr"] * h["weight_decay"] if g.ndim == 2 else 0.0
            weights[name] = weights[name] * (1 - decay) - h["lr"] * m_hat / (np.sqrt(v_hat) + h["eps"])


def train(config, weights, batches, hyper):
    """One step per batch. Yields (gradient of the loss before clipping, parameters after the step,
    record of the step)."""
    weights, adamw = dict(weights), AdamW(hyper)
    for batch in batches:
        model = Model(config, {name: Value(w) for name, w in weights.items()})
        total, record, loads = losses(model, batch, hyper)
        trained = {name: w for name, w in model.weights.items() if not name.endswith(BIAS)}
        gradient = gradients(total, trained)
        norm = np.sqrt(sum((g * g).sum() for g in gradient.values()))
        clip = min(1.0, hyper["max_grad_norm"] / (norm + 1e-6))
        adamw.step(weights, {name: g * clip for name, g in gradient.items()})
        for layer, counts in loads.items():
            name = f"model.layers.{layer}.mlp.gate.{BIAS}"
            weights[name] = router.bias_after_step(weights[name], counts, hyper["bias_gamma"])
        yield gradient, dict(weights), {**record, "ids": batch.tolist(), "grad_norm_before_clip": norm,
                                        "clip_factor": clip}
