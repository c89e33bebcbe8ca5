"""Group relative policy optimisation: eq. (26) to (28) of arXiv:2412.19437, with the KL term per token
of arXiv:2402.03300.

P prompts with G answers each of up to L tokens; mask [P, G, L] is 1 on the tokens of an answer.
"""
import numpy as np

from autograd import Value, exp, gradients, where


def advantages(rewards):
    """[P, G] (r - mean) / std within a group, population std; 0 where all rewards are equal. Eq. (28)."""
    std = rewards.std(axis=-1, keepdims=True)
    return (rewards - rewards.mean(axis=-1, keepdims=True)) / np.where(std > 0, std, 1.0)


def loss(logp, logp_old, logp_ref, mask, advantage, clip_eps, beta, per_sequence):
    """Scalars loss, objective, kl and the gradient of the loss in logp [P, G, L].

    Per token: the mean over an answer's tokens. Per sequence: ratio and KL of the whole answer, from
    its summed log-probabilities. Then the mean over all answers.
    """
    logp = Value(logp)
    change, reference = logp - logp_old, -logp + logp_ref
    advantage = advantage[..., None]
    weight = mask / mask.sum(axis=-1, keepdims=True)
    if per_sequence:
        change, reference = ((d * mask).sum(axis=-1, keepdims=True) for d in (change, reference))
        weight = np.ones_like(advantage)
    weight = weight / advantage.size
    ratio = exp(change)
    clipped = np.clip(ratio.data, 1 - clip_eps, 1 + clip_eps)
    bounded = where((clipped == ratio.data) * 1.0, ratio, clipped)
    free, held = ratio * advantage, bounded * advantage
    objective = (where((free.data <= held.data) * 1.0, free, held) * weight).sum()  # eq. (26)
    kl = ((exp(reference) - reference - 1.0) * weight).sum()  # eq. (27)
    total = kl * beta - objective
    scalars = {"loss": total.data, "objective": objective.data, "kl": kl.data}
    return scalars, gradients(total, {"logp": logp})["logp"]
